"""Words typed into forms: what is read, and which secrets never are."""

import base64
import json
import time
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.fields import loose_strings
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


def test_json_in_a_field_is_taken_apart_and_its_secrets_dropped() -> None:
    inner = json.dumps([None, json.dumps([["how do volcanoes work", 0], {"password": "plant secret"}])])
    found = texts(f"f.req={quote_plus(inner)}&at=x".encode(), FORM)
    assert "how do volcanoes work" in found
    assert "plant secret" not in " ".join(found)
    assert texts(json.dumps({"payload": json.dumps({"text": "hello you"})}).encode(), "application/json") == ["hello you"]
    part = b'--B\r\nContent-Disposition: form-data; name="json"\r\n\r\n{"text": "hello you", "token": "plant secret"}\r\n--B--'
    assert texts(part, "multipart/form-data; boundary=B") == ["hello you"]


def test_variables_of_graphql_are_read() -> None:
    body = json.dumps([{"operationName": "Send", "query": "mutation Send($t: String!) { send(t: $t) }", "variables": {"t": "hello there"}}])
    assert "hello there" in texts(body.encode(), "application/json")


def test_lines_of_json_are_read_one_by_one() -> None:
    body = b'{"text": "one line", "secret": {"x": "plant secret"}}\n{"text": "another line"}\n'
    for kind in ("application/x-ndjson", "application/json", "text/plain"):
        assert texts(body, kind) == ["one line", "another line", "one lineanother line"], kind


def test_pieces_under_one_name_are_read_together() -> None:
    body = json.dumps({"ops": [{"insert": "how to "}, {"insert": "fly", "attributes": {"bold": True}}, {"insert": " a kite"}]}).encode()
    assert "how to fly a kite" in texts(body, "application/json")
    keys = json.dumps([{"ty": "is", "s": letter} for letter in "kite"]).encode()
    assert texts(keys, "application/json") == ["is", "is", "is", "is"]
    assert "kite" in texts(json.dumps([{"s": letter} for letter in "kite"]).encode(), "application/json")


def test_mail_and_documents_are_read_without_their_html() -> None:
    body = urlencode({"body": "<div dir=ltr>how to <b>f</b>ly<br>a kite &amp; more</div>"}).encode()
    assert texts(body, FORM) == ["how to fly a kite & more"]
    assert texts(urlencode({"text": "3 < 4 and 5 > 4"}).encode(), FORM) == ["3 < 4 and 5 > 4"]


def test_readable_runs_of_protocol_buffers_are_read() -> None:
    message = b"\x0a\x2a\x08\x01\x12\x15how do volcanoes work\x1a\x10\x00\x01\x02\xff\xfe\x22\x0f\xc5\xbc\xc3\xb3\xc5\x82w tutaj"
    assert texts(message, "application/x-protobuf") == ["how do volcanoes work", "żółw tutaj"]
    assert texts(b"\0\0\0\0\x20" + message, "application/grpc-web+proto")[0] == "how do volcanoes work"
    assert texts(base64.b64encode(message), "application/grpc-web-text")[0] == "how do volcanoes work"
    assert texts(b'[null,["how do volcanoes work"]]', "application/json+protobuf") == ["how do volcanoes work"]
    assert texts(message, "application/octet-stream") == []


def test_parts_of_a_mail_upload_are_read_and_its_pictures_are_not() -> None:
    body = (
        b'--B\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{"subject": "hello you"}\r\n'
        b"--B\r\nContent-Type: text/html\r\n\r\n<p>good <i>day</i></p>\r\n"
        b"--B\r\nContent-Type: image/png\r\n\r\nnot these words\r\n--B--"
    )
    assert texts(body, "multipart/related; boundary=B") == ["hello you", "good day"]


def test_what_a_script_put_together_is_read_though_browsers_call_it_a_file() -> None:
    head = b'--B\r\nContent-Disposition: form-data; name="body"; filename="%s"\r\nContent-Type: application/json\r\n\r\n'
    for name, found in ((b"blob", ["hello you"]), (b"blobs.json", []), (b"my blob", [])):
        assert texts(head % name + b'{"text": "hello you"}\r\n--B--', "multipart/form-data; boundary=B") == found


def test_emoji_are_words_and_signs_are_not() -> None:
    assert texts(urlencode({"a": "\U0001f52a\U0001f52a", "b": "!?!", "c": "12:30", "d": "杀了"}).encode(), FORM) == ["🔪🔪", "杀了"]


@given(st.text(min_size=2, max_size=40).filter(lambda text: text.strip() and "\\" not in text))
def test_escapes_in_cut_json_are_undone_as_a_parser_would(text: str) -> None:
    whole = json.dumps({"m": text, "rest": "x"})
    cut = whole[: whole.index('"rest"') + 3].encode()
    ((name, found), *_) = loose_strings(cut)
    plain = str.maketrans("\t\r\b\f", "    ")
    assert (name, found) == ("m", text.translate(plain))


def test_half_an_emoji_in_cut_json_can_still_be_written_down() -> None:
    ((_, found),) = loose_strings(b'{"m": "knife \\ud83d\\udd2a and half \\ud83d')
    assert found == "knife 🔪 and half \ufffd"
