"""Log-in by password and code: set up, asked for, taken once, taken away."""

from __future__ import annotations

import re
from collections.abc import Callable

import pyotp
import pytest
from flask.testing import FlaskClient

from appliance import clock
from appliance.admin import second_factor
from appliance.admin.second_factor import RecoveryCode, SecondFactor
from tests.blueprints.conftest import PASSWORD, Person

PAGE = "/account/second-factor"
NOW = int(clock.now()) // 30 * 30 + 1


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the clock, in seconds from NOW."""

    def move(seconds: int) -> None:
        monkeypatch.setattr(clock, "now", lambda: float(NOW + seconds))

    return move


def code(secret: str, seconds: int = 0) -> str:
    return pyotp.TOTP(secret).at(NOW + seconds)


@pytest.fixture
def enrolled(at: Callable[[int], None], ada: Person) -> tuple[str, list[str]]:
    """ada's secret and recovery codes."""
    at(0)
    secret = second_factor.begin(ada.account.id)
    return secret, second_factor.confirm(
        ada.account.id, "ada", code(secret), "192.0.2.1"
    )


def log_in(browser: FlaskClient, code: str | None) -> tuple[int, str]:
    form = {"name": "ada", "password": PASSWORD}
    answer = browser.post("/login", data=form)
    assert answer.location == "/login/code"
    if code is None:
        return answer.status_code, ""
    answer = browser.post("/login/code", data={"code": code})
    return answer.status_code, answer.location or answer.text


def test_it_is_set_up_by_page(ada: Person, at: Callable[[int], None]) -> None:
    at(0)
    assert "Set it up" in ada.browser.get(PAGE).text
    assert ada.post(PAGE) == 303
    page = ada.browser.get(PAGE).text
    found = re.search(r"Or type: <span[^>]*>(\w+)<", page)
    assert found
    assert "<svg" in page
    assert "style=" not in page
    wrong = {"csrf": ada.csrf, "code": "000000"}
    assert ada.browser.post(f"{PAGE}/confirm", data=wrong).status_code == 422
    assert not second_factor.is_on(ada.account.id)
    right = {"csrf": ada.csrf, "code": code(found[1])}
    page = ada.browser.post(f"{PAGE}/confirm", data=right).text
    assert len(re.findall(r"\b[a-z2-9]{5}-[a-z2-9]{5}\b", page)) == 10
    assert "10 recovery codes are left" in ada.browser.get(PAGE).text
    assert found[1] not in ada.browser.get(PAGE).text


def test_the_password_alone_opens_nothing(
    enrolled: tuple[str, list[str]], nobody: FlaskClient, at: Callable[[int], None]
) -> None:
    at(60)
    log_in(nobody, None)
    assert nobody.get("/").location == "/login"
    assert nobody.get("/api/v1/admin/account").status_code == 401
    status, said = log_in(nobody, "123456")
    assert (status, "not right" in said) == (422, True)
    assert log_in(nobody, code(enrolled[0], 60)) == (303, "/")
    assert nobody.get("/account").status_code == 200


def test_a_code_is_taken_once(
    enrolled: tuple[str, list[str]], nobody: FlaskClient, at: Callable[[int], None]
) -> None:
    at(60)
    assert log_in(nobody, code(enrolled[0]))[0] == 422  # of the set-up, and used
    assert log_in(nobody, code(enrolled[0], 60))[0] == 303
    nobody.delete_cookie("formation")
    assert log_in(nobody, code(enrolled[0], 60))[0] == 422


@pytest.mark.parametrize(("late", "status"), [(30, 303), (-30, 303), (90, 422)])
def test_a_clock_may_be_half_a_minute_off(
    enrolled: tuple[str, list[str]],
    nobody: FlaskClient,
    at: Callable[[int], None],
    late: int,
    status: int,
) -> None:
    at(300)
    assert log_in(nobody, code(enrolled[0], 300 - late))[0] == status


def test_a_recovery_code_is_good_for_one_log_in(
    enrolled: tuple[str, list[str]], nobody: FlaskClient
) -> None:
    first = enrolled[1][0]
    assert log_in(nobody, first.upper())[0] == 303
    nobody.delete_cookie("formation")
    assert log_in(nobody, first)[0] == 422
    kept = [row.code_hash for row in RecoveryCode.select()]
    assert len(kept) == 9
    assert not set(enrolled[1]) & set(kept)


def test_guessing_codes_is_throttled(
    enrolled: tuple[str, list[str]], nobody: FlaskClient, at: Callable[[int], None]
) -> None:
    at(60)
    answers = [log_in(nobody, f"{n:06}")[0] for n in range(15)]
    assert answers[-1] == 429
    assert log_in(nobody, code(enrolled[0], 60))[0] == 429


def test_the_second_step_ends_after_a_while(
    enrolled: tuple[str, list[str]], nobody: FlaskClient, at: Callable[[int], None]
) -> None:
    at(0)
    log_in(nobody, None)
    at(400)
    late = nobody.post("/login/code", data={"code": code(enrolled[0], 400)})
    assert late.location == "/login"
    assert nobody.get("/login/code").location == "/login"


def test_turning_it_off_needs_a_code(
    enrolled: tuple[str, list[str]], ada: Person, at: Callable[[int], None]
) -> None:
    at(60)
    assert ada.post(f"{PAGE}/off", code="000000") == 422
    assert second_factor.is_on(ada.account.id)
    assert ada.post(PAGE) == 409
    assert ada.post(f"{PAGE}/off", code=code(enrolled[0], 60)) == 303
    assert not second_factor.is_on(ada.account.id)
    assert RecoveryCode.select().count() == 0


def test_an_operator_takes_it_from_who_lost_it(ada: Person, bo: Person) -> None:
    path = "/api/v1/admin/accounts/bo/second-factor"
    headers = ada.bearer("admin")
    assert ada.browser.delete(path, headers=headers).status_code == 409
    SecondFactor.create(account=bo.account.id, secret="x", confirmed=1.0)
    assert bo.browser.delete(path, headers=bo.bearer("admin")).status_code == 403
    assert "Turn the code off" in ada.browser.get("/admin/accounts/bo").text
    assert ada.browser.delete(path, headers=headers).status_code == 200
    assert not second_factor.is_on(bo.account.id)
    assert bo.get("/account") == 302


def test_programs_set_it_up_too(ada: Person, at: Callable[[int], None]) -> None:
    at(0)
    call, path = ada.browser, "/api/v1/admin/account/second-factor"
    headers = ada.bearer("admin")
    made = call.post(path, headers=headers).get_json()
    assert made["address"].startswith("otpauth://totp/Formation")
    body = {"code": code(made["secret"])}
    codes = call.post(f"{path}/confirm", json=body, headers=headers).get_json()
    assert len(codes["recovery_codes"]) == 10
    found = call.get(path, headers=headers).get_json()
    assert found == {"on": True, "recovery_codes": 10}
