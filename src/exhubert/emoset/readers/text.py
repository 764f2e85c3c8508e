"""Decodes annotation files of unknown encoding."""


def decode_text(content: bytes) -> str:
    """Decodes text: UTF-16 if it has a byte order mark, else the first of UTF-8, GB 18030 and Latin-1 that fits."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")
