"""Which address a client is counted under."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from dtws_sio import addresses, conf
from dtws_sio.addresses import FORWARDING_HEADERS, client_address

TRUSTED: list[dict[str, Any]] = [
    {"USE_X_FORWARDED_HOST": True},
    {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
]
"""Settings by which Django trusts its proxy."""


def from_header(environ: dict[str, Any]) -> str | None:
    return environ.get("HTTP_X_OWN")


def from_database(environ: dict[str, Any]) -> Any:
    return 12


NO_FUNCTION = "text"


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "10.1.2.3"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", None),
        ("127.8.8.8", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("0.0.0.0", None),
        ("::", None),
        ("", None),
        (None, None),
        ("unix:", None),
        ("/run/app.sock", None),
        ("localhost", None),
        ("1.2.3", None),
        ("1.2.3.4.5", None),
        ("256.1.1.1", None),
        (b"1.2.3.4", None),
    ],
)
def test_without_a_proxy_a_client_is_counted_under_its_own_address(peer: Any, expected: str | None) -> None:
    """Developers' machines and sockets of this host say nothing; a home's IPv6 addresses are one."""
    assert client_address({"REMOTE_ADDR": peer}) == expected


def test_an_environ_without_an_address_gives_none() -> None:
    assert client_address({}) is None


@pytest.mark.parametrize("header", FORWARDING_HEADERS)
def test_signs_of_a_proxy_that_django_does_not_trust_switch_the_count_off(header: str) -> None:
    """All its visitors would be one."""
    assert client_address({"REMOTE_ADDR": "203.0.113.9", header: "198.51.100.7"}) is None
    assert client_address({"REMOTE_ADDR": "203.0.113.9", header: ""}) is None


@pytest.mark.parametrize("trust", TRUSTED, ids=lambda trust: next(iter(trust)))
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("1.1.1.1, 198.51.100.7", "198.51.100.7"),
        ("1.1.1.1,2.2.2.2,198.51.100.7 ", "198.51.100.7"),
        ("198.51.100.7:51234", "198.51.100.7"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, unknown", None),
        ("198.51.100.7,", None),
        ("127.0.0.1", None),
        ("[", None),
        ("[]", None),
        (":", None),
        ("", None),
        (None, None),
    ],
)
def test_behind_a_proxy_that_django_trusts_its_last_word_counts(
    trust: dict[str, Any], header: str | None, expected: str | None
) -> None:
    """What stands before it a client can make up."""
    with override_settings(**trust):
        assert client_address({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": header}) == expected
        assert client_address({"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": header}) == expected


@pytest.mark.parametrize("trust", TRUSTED, ids=lambda trust: next(iter(trust)))
def test_a_trusted_proxy_that_names_nobody_switches_the_count_off(trust: dict[str, Any]) -> None:
    with override_settings(**trust):
        assert client_address({"REMOTE_ADDR": "203.0.113.9"}) is None


@given(garbage=st.one_of(st.text(), st.binary(), st.none(), st.integers(), st.text(alphabet="0123456789.:[]%,/ -")))
def test_garbage_never_raises(garbage: Any) -> None:
    for trusted in (True, False):
        with override_settings(USE_X_FORWARDED_HOST=trusted):
            for environ in ({"REMOTE_ADDR": garbage}, {"REMOTE_ADDR": garbage, "HTTP_X_FORWARDED_FOR": garbage}):
                assert isinstance(client_address(environ), (str, type(None)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("127.0.0.1", "127.0.0.1"),
        ("customer 7", "customer 7"),
        ("", None),
        (None, None),
    ],
)
def test_a_function_of_the_project_takes_the_place_of_the_guess(given: str | None, expected: str | None) -> None:
    with override_settings(DTWS_SIO={"CLIENT_ADDRESS": f"{__name__}.from_header"}, USE_X_FORWARDED_HOST=True):
        assert client_address({"HTTP_X_OWN": given, "HTTP_X_FORWARDED_FOR": "1.1.1.1"}) == expected


def test_what_a_function_gives_is_made_text() -> None:
    with override_settings(DTWS_SIO={"CLIENT_ADDRESS": f"{__name__}.from_database"}):
        assert client_address({}) == "12"


@pytest.mark.parametrize(
    ("name", "environ", "expected"),
    [
        ("peer_address", {"REMOTE_ADDR": "203.0.113.9", "HTTP_X_FORWARDED_FOR": "1.1.1.1"}, "203.0.113.9"),
        ("peer_address", {"REMOTE_ADDR": ""}, None),
        ("peer_address", {}, None),
        ("forwarded_address", {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "9.9.9.9, 1.1.1.1"}, "1.1.1.1"),
        ("forwarded_address", {"REMOTE_ADDR": "10.0.0.1"}, None),
    ],
)
def test_both_ways_can_be_chosen_by_the_setting(name: str, environ: dict[str, Any], expected: str | None) -> None:
    with override_settings(DTWS_SIO={"CLIENT_ADDRESS": f"dtws_sio.addresses.{name}"}):
        assert client_address(environ) == expected


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere_at_all.f", "No module named 'nowhere_at_all'"),
        (f"{__name__}.missing", 'does not define a "missing"'),
        (f"{__name__}.NO_FUNCTION", "that is no function"),
    ],
)
def test_a_function_that_cannot_be_had_is_named_with_the_reason(path: str, reason: str) -> None:
    problem = addresses.problem(path)
    assert problem is not None
    assert (problem.number, problem.message) == (3, f'DTWS_SIO["CLIENT_ADDRESS"] is {path!r}.')
    assert reason in problem.hint
    with pytest.raises(conf.ConfigurationError) as caught:
        addresses.finder(path)
    assert str(caught.value) == f"{problem.message} {problem.hint}"


def test_a_function_that_can_be_had_is_no_problem() -> None:
    assert addresses.problem(f"{__name__}.from_header") is None
