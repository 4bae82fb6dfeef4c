"""Readers of link traces, one file a format; each turns a file into a RawTrace."""
