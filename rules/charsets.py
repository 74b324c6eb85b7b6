"""The character set of a page, found as browsers find it (Encoding standard, and the HTML standard's encoding sniffing)."""

import codecs
import re

_SNIFF = 2048
"""Bytes in which a page has to name its character set (HTML standard: 1024; some sites are late)."""
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([a-zA-Z0-9_:.-]{2,40})""", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']\s*([a-zA-Z0-9_:.-]{2,40})""")
_PARAMETER = re.compile(r""";\s*([^;=]*)=("(?:[^"\\]|\\.)*"?|[^;]*)""")
"""One parameter of a media type (MIME sniffing standard, "parse a MIME type"); another's quoted value may look like one."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
    # HTML standard, "prescan a byte stream": an XML declaration of two bytes a character.
    (b"<\0?\0x\0", "utf-16-le"), (b"\0<\0?\0x", "utf-16-be"),
)  # fmt: skip
_CODECS = frozenset({
    "utf-8", "utf-16-le", "utf-16-be", "gb18030", "big5hkscs", "euc_jp", "iso2022_jp", "cp932", "cp949", "cp866", "koi8-r", "koi8-u",
    "mac-roman", "mac-cyrillic", "cp874", *(f"cp125{number}" for number in range(9)),
    *(f"iso8859-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
})  # fmt: skip
"""Python's codecs that are encodings of the Encoding standard. Python has many more, and no browser reads a page in them."""
# Labels that mean another character set to browsers than to Python.
_LABELS = {
    "iso-8859-1": "cp1252", "iso8859-1": "cp1252", "iso_8859-1": "cp1252", "latin1": "cp1252", "l1": "cp1252", "us-ascii": "cp1252",
    "ascii": "cp1252", "x-user-defined": "cp1252", "iso-8859-9": "cp1254", "latin5": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932",
    "windows-31j": "cp932", "x-sjis": "cp932", "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "big5": "big5hkscs",
    "x-x-big5": "big5hkscs", "macintosh": "mac-roman", "x-mac-cyrillic": "mac-cyrillic", "utf-16": "utf-16-le", "utf8": "utf-8",
    "unicode": "utf-16-le", "ucs-2": "utf-16-le",
}  # fmt: skip


def charset_of(body: bytes, media_type: str) -> str:
    """Return the Python codec for a body: byte order mark, header, `<meta>` or XML declaration, then UTF-8, then windows-1252."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name
    for name, value in _PARAMETER.findall(media_type):
        codec = _codec(value.strip().strip('"')) if name.strip().lower() == "charset" else None
        if codec is not None:
            return codec
    found = _META_CHARSET.search(body, 0, _SNIFF) or _XML_CHARSET.search(body, 0, _SNIFF)
    codec = _codec(found[1].decode("ascii")) if found is not None else None
    if codec is not None:
        # A page that can say so in ASCII is not in UTF-16 (HTML standard, "prescan a byte stream").
        return "utf-8" if codec.startswith("utf-16") else codec
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character cut at the very end says nothing about the rest.
        return "utf-8" if error.reason == "unexpected end of data" else "cp1252"
    return "utf-8"


def decode(body: bytes, media_type: str) -> str:
    """Return the body as text; bytes that don't fit become U+FFFD."""
    return body.decode(charset_of(body, media_type), "replace").removeprefix("\ufeff")


def _codec(label: str) -> str | None:
    label = label.lower()
    try:
        name = codecs.lookup(_LABELS.get(label, label)).name
    except (LookupError, ValueError):
        return None
    return name if name in _CODECS else None
