"""What the HTTP room accepts. A request over a limit is answered by 400, 413, 414 or 431, with a
message that names the limit.
"""

from so.config import env

MIB = 1024 * 1024

config = {
    "max_body_bytes": env.int("HTTP_MAX_BODY_BYTES", 512 * MIB),  # a whole body, uploads included
    "max_memory_bytes": env.int("HTTP_MAX_MEMORY_BYTES", 16 * MIB),  # a body read by body()
    "max_json_bytes": env.int("HTTP_MAX_JSON_BYTES", 8 * MIB),  # a JSON body
    "max_json_depth": env.int("HTTP_MAX_JSON_DEPTH", 64),  # lists and objects in each other
    "max_form_bytes": env.int("HTTP_MAX_FORM_BYTES", 8 * MIB),  # a form's fields, without files
    "max_form_fields": env.int("HTTP_MAX_FORM_FIELDS", 1000),  # fields of a form, or of a query
    "max_parts": env.int("HTTP_MAX_PARTS", 128),  # parts of a multipart form
    "max_part_bytes": env.int("HTTP_MAX_PART_BYTES", 512 * MIB),  # one uploaded file
    "max_part_header_bytes": env.int("HTTP_MAX_PART_HEADER_BYTES", 8 * 1024),  # a part's head
    "max_input_depth": env.int("HTTP_MAX_INPUT_DEPTH", 32),  # brackets in a name: a[b][c] has 2
    "max_header_bytes": env.int("HTTP_MAX_HEADER_BYTES", 64 * 1024),  # all header fields together
    "max_headers": env.int("HTTP_MAX_HEADERS", 100),  # header fields
    "max_uri_bytes": env.int("HTTP_MAX_URI_BYTES", 8 * 1024),  # path and query
    "spool_bytes": env.int(
        "HTTP_SPOOL_BYTES", 256 * 1024
    ),  # a form's files up to here stay in memory
    "upload_dir": env("HTTP_UPLOAD_DIR", None),  # where larger ones wait; None: the system's
    "disks": {  # where request.file(…).store(folder, disk) keeps files, from the project's folder
        "local": env("STORAGE_LOCAL", "storage/app"),  # folder of the disk "local"
        "public": env("STORAGE_PUBLIC", "storage/app/public"),  # folder of the disk "public"
    },
    "default_disk": env("STORAGE_DISK", "local"),  # the disk of store(folder)
}
