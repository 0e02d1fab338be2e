/*
 * The context: what configuration it refuses, whom it follows, what it lets each role send.
 */
#include "domain/leasing/leasing.h"

#include "domain/leasing/leasing_internal.h"
#include "gen/abi_types.h"
#include "unit/test.h"

#define COIN "0x5FbDB2315678afecb367f032d93F642f64180aa3"
#define REGISTRY "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9"
#define FACTORY "0x5FC8d32690cc91D4c39d9d3abcBD16989F875707"
#define MARKET "0xa513E6E4b8f2a923D98304ec87F64353C4D5C853"

static struct leasing_config right(void)
{
    return (struct leasing_config){.stablecoin = COIN,
                                   .asset_registry = REGISTRY,
                                   .lease_factory = FACTORY,
                                   .marketplace = MARKET,
                                   .registrar = "",
                                   .signature_validity_usec = 1};
}

static enum err make(const struct leasing_config *config, struct leasing **out, struct why *why)
{
    const struct leasing_options options = {
        .config = config, .chain_id = 31337, .start_block = 7, .store = NULL, .rpc = NULL};
    return leasing_new(&options, out, why);
}

static void refuses(struct leasing_config config, const char *key)
{
    struct why why = {.err = OK};
    struct leasing *leasing = NULL;
    assert_int_equal(make(&config, &leasing, &why), ERR_CONFIG);
    assert_null(leasing);
    assert_string_equal(why.field, key);
    assert_non_null(strstr(why.text, key));
}

static void test_configuration(void **state)
{
    struct leasing_config c = right();
    c.marketplace = "";
    refuses(c, "leasing.marketplace");
    c = right();
    c.stablecoin = NULL;
    refuses(c, "leasing.stablecoin");
    c = right();
    c.asset_registry = "0xcf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9"; /* one letter in lower case */
    refuses(c, "leasing.asset_registry");
    c = right();
    c.lease_factory = "0x0000000000000000000000000000000000000000";
    refuses(c, "leasing.lease_factory");
    c = right();
    c.registrar = "me";
    refuses(c, "leasing.registrar");
    leasing_free(NULL);
}

static void test_sources(void **state)
{
    struct leasing_config c = right();
    struct leasing *l = NULL;
    size_t count = 0;
    assert_int_equal(make(&c, &l, NULL), OK);
    const struct chain_source *sources = leasing_sources(l, &count);
    assert_int_equal(count, 3);
    const char *addresses[] = {REGISTRY, FACTORY, MARKET};
    const char *names[] = {"AssetRegistry", "LeaseFactory", "Marketplace"};
    for (size_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&sources[i].address, text);
        assert_string_equal(text, addresses[i]);
        assert_string_equal(sources[i].contract->name, names[i]);
        assert_int_equal(sources[i].start_block, 7);
    }
    leasing_free(l);
}

struct permission {
    const char *role;
    const char *address; /* NULL: any */
    const char *function;
};

/* What leasing.h promises: nothing else may leave under these roles. */
static const struct permission permissions[] = {
    {"registrar", REGISTRY, "createAssetType"},
    {"registrar", REGISTRY, "registerAsset"},
    {"registrar", REGISTRY, "setMetadata"},
    {"lessor", MARKET, "postLeaseOffer"},
    {"lessor", MARKET, "acceptLeaseBid"},
    {"lessor", MARKET, "cancelLeaseOffer"},
    {"lessor", FACTORY, "mintLease"},
    {"bidder", COIN, "approve"},
    {"bidder", MARKET, "placeLeaseBid"},
    {"bidder", MARKET, "withdrawLeaseBid"},
    {"bidder", MARKET, "placeSaleBid"},
    {"bidder", MARKET, "withdrawSaleBid"},
    {"seller", MARKET, "postSale"},
    {"seller", MARKET, "acceptSaleBid"},
    {"seller", MARKET, "cancelSale"},
    {"holder", MARKET, "claimRevenue"},
    {"holder", NULL, "transfer"},
    {"seller", NULL, "approve"},
};

static void test_policies(void **state)
{
    struct leasing_config c = right();
    struct leasing *l = NULL;
    size_t count = 0;
    assert_int_equal(make(&c, &l, NULL), OK);
    const struct relay_policy *policies = leasing_policies(l, &count);
    assert_int_equal(count, sizeof permissions / sizeof permissions[0]);
    for (size_t i = 0; i < count; i++) {
        const struct permission *p = &permissions[i];
        assert_string_equal(policies[i].role, p->role);
        assert_string_equal(policies[i].function->name, p->function);
        if (p->address == NULL) {
            assert_null(policies[i].address);
            continue;
        }
        char text[ADDRESS_TEXT_MAX];
        address_format(policies[i].address, text);
        assert_string_equal(text, p->address);
    }
    leasing_free(l);
}

static void test_tables(void **state)
{
    struct leasing_config c = right();
    struct leasing *l = NULL;
    size_t count = 0;
    assert_int_equal(make(&c, &l, NULL), OK);
    assert_ptr_equal(leasing_http_table(l).ctx, l);
    assert_ptr_equal(leasing_chain_table(l).ctx, l);
    assert_ptr_equal(leasing_job_table(l).ctx, l);
    const struct abi_contract *const *abis = leasing_abis(&count);
    assert_int_equal(count, ABI_CONTRACT_COUNT);
    assert_ptr_equal(abis, abi_contracts);
    assert_string_equal(l->book, "stable/31337");
    leasing_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
