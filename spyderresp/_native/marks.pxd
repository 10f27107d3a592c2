# Whether the text of a JSON record may hold an event in another form than the normal one. Says yes where in doubt: a
# record that it passes is decided without being decoded, and an adapter would have had nothing to do with it.
#
# Most of what is looked for has a character that is rare in events: that is found first, many bytes at a time.
# tests/replaying/test_lines.py holds this to the adapters.
