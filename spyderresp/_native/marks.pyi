def is_marked(data: bytes) -> bool:
    """Tell whether a JSON record's text holds anything that a record in another form than the normal one must.

    Keys and a value that mark one, as adapters know them, or the beginning of an escape, behind which one could be.
    """
