"""Readers of the data files that the field has: one file per format, and what all of them share."""

from mmdisentangle.data.readers.data_file import DataFile, describe_file, read_file

__all__ = ["DataFile", "describe_file", "read_file"]
