"""Pictures as files: what a PNG, JPEG or WebP says of itself, told from its bytes. Nothing is decoded.

container   chunks and segments, how large a picture is, and whether the file is whole
exif        texts in EXIF, read and written
texts       every text that a picture carries, within limits
write       a picture with other texts, or without any
"""
