"""URLs of the project that the tests of the wire rules drive: all of it is Socket.IO."""

urlpatterns: list[object] = []
