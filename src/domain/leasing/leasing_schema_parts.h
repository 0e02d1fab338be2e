/*
 * leasing_schema_parts.h: what the JSON Schemas of leasing are written with. Private to this
 * folder.
 */
#ifndef DOMAIN_LEASING_LEASING_SCHEMA_PARTS_H
#define DOMAIN_LEASING_LEASING_SCHEMA_PARTS_H

/* Values that occur everywhere. */
#define ADDRESS "{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{40}$\"}"
#define ADDRESS_OR_NULL "{\"type\":[\"string\",\"null\"],\"pattern\":\"^0x[0-9a-fA-F]{40}$\"}"
#define HASH "{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{64}$\"}"
#define HASH_OR_NULL "{\"type\":[\"string\",\"null\"],\"pattern\":\"^0x[0-9a-fA-F]{64}$\"}"
#define AMOUNT "{\"type\":\"string\",\"pattern\":\"^[0-9]+$\"}"
#define AMOUNT_OR_NULL "{\"type\":[\"string\",\"null\"],\"pattern\":\"^[0-9]+$\"}"
#define TIME "{\"type\":\"string\",\"format\":\"date-time\"}"
#define TIME_OR_NULL "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"
#define TEXT "{\"type\":\"string\"}"
#define TEXT_OR_NULL "{\"type\":[\"string\",\"null\"]}"
#define INTEGER "{\"type\":\"integer\"}"
#define INTEGER_OR_NULL "{\"type\":[\"integer\",\"null\"]}"
#define BOOL "{\"type\":\"boolean\"}"
#define OBJECT "{\"type\":\"object\"}"
#define TRANSACTION                                                                                \
    "{\"type\":[\"object\",\"null\"],\"required\":[\"transactionId\",\"state\","                   \
    "\"transactionHash\"],\"properties\":{\"transactionId\":" TEXT                                 \
    ",\"state\":{\"enum\":[\"queued\",\"signed\",\"sent\",\"mined\",\"reverted\",\"failed\","      \
    "\"replaced\",\"cancelled\"]},\"transactionHash\":" HASH_OR_NULL ",\"error\":" TEXT            \
    ",\"code\":" TEXT "}}"
#define REQUEST                                                                                    \
    "{\"type\":[\"object\",\"null\"],\"required\":[\"purpose\",\"chainId\",\"from\",\"to\","       \
    "\"value\",\"data\"],\"properties\":{\"purpose\":" TEXT ",\"chainId\":" INTEGER                \
    ",\"from\":" ADDRESS ",\"to\":" ADDRESS ",\"value\":" TEXT ",\"data\":" TEXT "}}"

#endif
