"""Text files whose encoding nobody wrote down."""


def decode_text(content: bytes) -> str:
    """Decodes an annotation file: UTF-16 with a mark, else UTF-8, GB 18030 or Latin-1, whichever fits first."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")
