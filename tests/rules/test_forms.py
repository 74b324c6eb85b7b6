"""Words typed into forms: what is read, and which secrets never are."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.forms import form_fields, typed_texts

FORM = "application/x-www-form-urlencoded"


def texts(body: bytes, media_type: str, **rest: bool) -> list[str]:
    return [typed.text for typed in typed_texts(body, media_type, **rest)]


def test_url_encoded_words_are_read() -> None:
    assert texts(b"msg=i+hate+%26+you&lang=en", FORM + "; charset=utf-8") == ["i hate & you", "en"]


def test_multipart_words_are_read_and_files_are_not() -> None:
    body = (
        b'--XX\r\nContent-Disposition: form-data; name="comment"\r\n\r\nhello there\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nfile words\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter two\r\n--XX--\r\n'
    )
    assert texts(body, "multipart/form-data; boundary=XX") == ["hello there"]


def test_json_words_are_read_at_any_depth() -> None:
    body = json.dumps(
        {"messages": [{"role": "user", "content": {"parts": ["how do volcanoes work"]}}], "password": "a b c", "id": "0f" * 20}
    ).encode()
    assert texts(body, "application/json", prompt=True) == ["user", "how do volcanoes work"]
    assert typed_texts(body, "application/json", prompt=True)[0].context == "prompt"


def test_json_named_plain_text_is_read_as_json() -> None:
    assert texts(b'{"text": "hello you", "token": "s3cret words"}', "text/plain;charset=UTF-8") == ["hello you"]


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Passwd",
        "user_pass",
        "pwd",
        "passcode",
        "csrf_token",
        "authenticity_token",
        "otp",
        "pin",
        "cvv",
        "cardnumber",
        "client_secret",
        "session_id",
        "SAMLResponse",
        "__VIEWSTATE",
        "api_key",
        "g-recaptcha-response",
    ],
)
def test_secret_fields_are_dropped_in_every_form(name: str) -> None:
    secret = "plant secret"
    bodies = [
        (f"{name}=plant+secret&note=fine".encode(), FORM),
        (json.dumps({name: secret, "deep": {name: [secret, {"x": secret}]}}).encode(), "application/json"),
        (f'{{"{name}": "{secret}", "cut": "off'.encode(), "application/json"),
        (f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{secret}\r\n--B--'.encode(), "multipart/form-data; boundary=B"),
    ]
    for body, media_type in bodies:
        assert secret not in " ".join(value for _, value in form_fields(body, media_type)), (name, media_type)


def test_bodies_are_read_up_to_their_limit_and_cut_json_still_counts() -> None:
    body = json.dumps({"a": "some typed words", "b": "x" * 1000, "c": "never seen"}).encode()
    assert "some typed words" in [value for _, value in form_fields(body, "application/json", limit=200)]
    assert "never seen" not in str(form_fields(body, "application/json", limit=200))
    assert form_fields(body, "application/json", limit=0) == []
    assert form_fields(body, "image/png") == []


@given(
    st.binary(max_size=400),
    st.sampled_from([FORM, "application/json", "multipart/form-data; boundary=a", "multipart/form-data", "text/plain", "x"]),
)
def test_no_body_makes_it_fail(body: bytes, media_type: str) -> None:
    typed_texts(body, media_type)


def test_deep_and_long_bodies_stay_bounded() -> None:
    for body in (b"[" * 200_000, b'{"a":' * 50_000, b"a=b&" * 60_000, b'"' * 250_000, b'"\\' * 120_000):
        for media_type in ("application/json", FORM, "text/plain"):
            start = time.perf_counter()
            assert len(typed_texts(body, media_type)) <= 200
            assert time.perf_counter() - start < 3
