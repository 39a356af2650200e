"""Content types by extension: the server decides by the name what a file is served as, never by what a client
said. To add a type: its line in the table."""

from __future__ import annotations

OPAQUE = "application/octet-stream"

_TYPES = """
application/dicom               dcm
application/epub+zip            epub
application/fhir+json           fhir
application/gzip                gz
application/java-archive        jar
application/javascript          js mjs
application/json                json map
application/ld+json             jsonld
application/mathml+xml          mathml
application/msword              doc dot
application/octet-stream        bin dmg exe dll iso img msi deb
application/pdf                 pdf
application/pgp-encrypted       pgp
application/pkcs7-mime          p7m p7c
application/postscript          ai eps ps
application/rdf+xml             rdf owl
application/rtf                 rtf
application/vnd.android.package-archive  apk
application/vnd.apple.keynote   key
application/vnd.apple.numbers   numbers
application/vnd.apple.pages     pages
application/vnd.ms-excel        xls
application/vnd.ms-powerpoint   ppt
application/vnd.oasis.opendocument.presentation  odp
application/vnd.oasis.opendocument.spreadsheet   ods
application/vnd.oasis.opendocument.text          odt
application/vnd.openxmlformats-officedocument.presentationml.presentation  pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet          xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document    docx
application/vnd.sqlite3         sqlite sqlite3
application/wasm                wasm
application/x-7z-compressed     7z
application/x-bzip2             bz2
application/x-httpd-php         php
application/x-rar-compressed    rar
application/x-sh                sh
application/x-shockwave-flash   swf
application/x-tar               tar
application/xhtml+xml           xhtml xht
application/xml                 xml xsd rng
application/xslt+xml            xslt xsl
application/zip                 zip
audio/aac                       aac
audio/flac                      flac
audio/midi                      mid midi
audio/mp4                       m4a
audio/mpeg                      mp3
audio/ogg                       ogg oga opus
audio/wav                       wav
audio/webm                      weba
audio/x-aiff                    aif aiff
font/otf                        otf
font/ttf                        ttf
font/woff                       woff
font/woff2                      woff2
image/apng                      apng
image/avif                      avif
image/bmp                       bmp
image/gif                       gif
image/heic                      heic
image/heif                      heif
image/jp2                       jp2
image/jpeg                      jpeg jpg jpe
image/png                       png
image/svg+xml                   svg svgz
image/tiff                      tif tiff
image/vnd.adobe.photoshop       psd
image/webp                      webp
image/x-icon                    ico
message/rfc822                  eml
text/calendar                   ics
text/css                        css
text/csv                        csv
text/html                       html htm shtml
text/markdown                   md markdown
text/plain                      txt text log conf def list ini hl7
text/tab-separated-values       tsv
text/vcard                      vcf
text/xml                        -
text/yaml                       yaml yml
video/3gpp                      3gp
video/mp4                       mp4 m4v
video/mpeg                      mpeg mpg
video/ogg                       ogv
video/quicktime                 mov qt
video/webm                      webm
video/x-matroska                mkv
video/x-msvideo                 avi
"""

_ROWS = [line.split() for line in _TYPES.strip().splitlines()]
TYPE_BY_EXTENSION = {extension: row[0] for row in _ROWS for extension in row[1:] if extension != "-"}
EXTENSION_BY_TYPE = {row[0]: row[1] for row in _ROWS if row[1] != "-"} | {
    "application/x-javascript": "js",
    "text/javascript": "js",
    "audio/mp3": "mp3",
    "audio/x-wav": "wav",
    "image/jpg": "jpeg",
    "text/xml": "xml",
}

_TEXTS = ("application/json", "application/javascript")
_ACTIVE = frozenset(
    {"text/html", "text/xml", "application/x-httpd-php", "application/x-shockwave-flash", "text/javascript"}
    | {"application/javascript", "application/xml", "message/rfc822"}
)


def type_of_name(name: str) -> str | None:
    """The content type that a file's extension stands for, if it is a known one."""
    _, dot, extension = name.rpartition(".")
    return TYPE_BY_EXTENSION.get((extension if dot else name).lower())


def is_active(content_type: str) -> bool:
    """Would a browser run what is in a file of this type with the rights of the site that serves it?"""
    plain = content_type.partition(";")[0].strip().lower()
    return plain in _ACTIVE or plain.endswith("+xml")


def served_type(name: str) -> str:
    """The `Content-Type` of a download."""
    content_type = type_of_name(name) or OPAQUE
    is_text = content_type.startswith("text/") or content_type in _TEXTS
    return f"{content_type}; charset=utf-8" if is_text else content_type
