"""Nothing but Socket.IO is measured."""

urlpatterns: list[object] = []
