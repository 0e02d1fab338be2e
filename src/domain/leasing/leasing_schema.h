/*
 * leasing_schema.h: JSON Schemas of the bodies and answers of the leasing routes. They document
 * (OpenAPI is generated from them); what a handler accepts is decided by the handler. Private to
 * this folder.
 */
#ifndef DOMAIN_LEASING_LEASING_SCHEMA_H
#define DOMAIN_LEASING_LEASING_SCHEMA_H

extern const char leasing_schema_type_body[];
extern const char leasing_schema_type[];
extern const char leasing_schema_type_list[];
extern const char leasing_schema_asset_body[];
extern const char leasing_schema_registration[];
extern const char leasing_schema_asset[];
extern const char leasing_schema_asset_list[];
extern const char leasing_schema_holders[];
extern const char leasing_schema_account[];
extern const char leasing_schema_contracts[];
extern const char leasing_schema_lease_body[];
extern const char leasing_schema_lease[];
extern const char leasing_schema_lease_list[];
extern const char leasing_schema_digest[];
extern const char leasing_schema_access[];
extern const char leasing_schema_access_payments[];
extern const char leasing_schema_access_hours[];
extern const char leasing_schema_sign_body[];
extern const char leasing_schema_terminate_body[];
extern const char leasing_schema_bid_body[];
extern const char leasing_schema_bid[];
extern const char leasing_schema_bid_list[];
extern const char leasing_schema_accept_body[];
extern const char leasing_schema_withdrawal[];
extern const char leasing_schema_offer_list[];
extern const char leasing_schema_quote[];
extern const char leasing_schema_round[];
extern const char leasing_schema_round_list[];
extern const char leasing_schema_claim[];
extern const char leasing_schema_claim_list[];
extern const char leasing_schema_payment[];

#endif
