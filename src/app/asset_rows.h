/*
 * asset_rows.h: a file of assets as bodies of POST /api/v1/assets.
 *
 * JSON lines: a body a line, as the route takes it; blank lines are passed by.
 *
 * CSV: the first record names the columns. assetId, name, description, assetType, createdAt,
 * updatedAt, tokenName, tokenSymbol, totalSupply and tokenRecipient are texts;
 * "specifications.orbit.altitude_km" is a member of the specifications, a column for each. A cell
 * of those that is JSON (12.5, true, ["C","Ku"], "12") is that value, any other is a text. An empty
 * cell is no member. Assets have no documents yet.
 *
 * The whole file is read once before the first row is given out: a file that is no CSV, or whose
 * columns are unknown, is refused whole. What is wrong with one row is told with that row.
 */
#ifndef APP_ASSET_ROWS_H
#define APP_ASSET_ROWS_H

#include "kernel/base/csv.h"
#include "kernel/base/json.h"

enum asset_format {
    ASSET_CSV,
    ASSET_JSON_LINES,
};

struct asset_rows {
    enum asset_format format;
    struct csv csv;             /* what is left, of CSV */
    struct slice rest;          /* what is left, of JSON lines */
    uint64_t line;              /* of the row that comes next, of JSON lines */
    uint64_t total;             /* rows of the file */
    struct csv_record *columns; /* the first record, of CSV */
};

struct asset_row {
    uint64_t line;
    struct slice asset_id; /* "" when it cannot be told */
    struct slice body;     /* JSON; empty when the row is none: `wrong` says why */
    struct why wrong;
};

/*
 * asset_rows_open checks the file and counts its rows. Owns: the arena; the text must stay. Errors:
 * ERR_INVALID_ENCODING, ERR_LIMIT, ERR_UNKNOWN_FIELD, ERR_MISSING_FIELD (why names line or column).
 */
enum err asset_rows_open(struct asset_rows *rows, struct arena *arena, enum asset_format format,
                         struct slice text, struct why *why) ERR_CHECKED;

/* asset_rows_next gives out the next row; false at the end. Owns: the arena. */
bool asset_rows_next(struct asset_rows *rows, struct arena *arena, struct asset_row *out);

#endif
