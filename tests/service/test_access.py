"""Who may come in: host names, requests from this machine, and the operator's link."""

from __future__ import annotations

import pytest

from athena_tuning.service.access import OperatorToken, host_name, is_known_host, is_local_request


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8501", "127.0.0.1:80", "[::1]:8501", "192.168.1.9:1"]
)
def test_loopback_names_and_addresses_in_figures_are_known_hosts(host: str) -> None:
    assert is_known_host(host, {})


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "localhost.evil.example", "a b", "x@localhost", "/"]
)
def test_any_other_name_is_no_known_host(host: str | None) -> None:
    assert not is_known_host(host, {})


def test_names_in_the_setting_are_known_hosts() -> None:
    environ = {"ATHENA_TUNING_HOSTS": " Athena.example , b.example"}
    assert is_known_host("athena.example:443", environ)
    assert is_known_host("b.example.", environ)
    assert not is_known_host("c.example", environ)
    assert is_known_host("c.example", {"ATHENA_TUNING_HOSTS": "*"})


def test_a_broken_host_header_has_no_name() -> None:
    assert host_name("[::1") == ""


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "x-real-ip", "Via", "X-Forwarded-Host"])
def test_a_request_through_a_proxy_is_not_local(header: str) -> None:
    assert is_local_request({"Host": "127.0.0.1:8501"})
    assert not is_local_request({"Host": "127.0.0.1:8501", header: "203.0.113.9"})


@pytest.mark.parametrize("host", ["athena.example", "192.168.1.9:8501", ""])
def test_a_request_to_a_name_from_elsewhere_is_not_local(host: str) -> None:
    assert not is_local_request({"host": host})


def test_only_the_token_opens_and_only_its_cookie_admits() -> None:
    token, other = OperatorToken({}), OperatorToken({})
    secret = token.query.removeprefix("operator?token=")
    assert token.opens(secret)
    assert not other.opens(secret)
    assert token.admits(token.cookie)
    assert not token.admits(other.cookie)
    assert not token.admits(None)
    assert not token.admits(secret)
    assert secret not in token.cookie


def test_a_token_that_is_set_stays_the_same_and_must_not_be_short() -> None:
    environ = {"ATHENA_TUNING_OPERATOR_TOKEN": "0123456789abcdef"}
    assert OperatorToken(environ).cookie == OperatorToken(environ).cookie
    with pytest.raises(ValueError, match="ATHENA_TUNING_OPERATOR_TOKEN must have 16"):
        OperatorToken({"ATHENA_TUNING_OPERATOR_TOKEN": "short"})
