/*
 * What is offered: the chain's bounds, the schedule of replacements, and their arithmetic, computed
 * by hand. One gwei is 10^9 wei.
 */
#include "kernel/relay/relay_internal.h"
#include "unit/test.h"

#define GWEI UINT64_C(1000000000)

static struct relay_config config_of(uint64_t min_gwei, uint64_t max_gwei)
{
    return (struct relay_config){
        .fee_wei_min = u256_from_u64(min_gwei * GWEI),
        .fee_wei_max = u256_from_u64(max_gwei * GWEI),
        .low_percent = 80,
        .high_percent = 150,
        .bump_percent = 13,
        .stuck_usec = 60 * USEC_PER_SEC,
    };
}

static struct relay relay_of(const struct relay_config *config, uint64_t chain_id)
{
    struct relay r = {.chain_id = chain_id};
    assert_int_equal(relay_config_resolve(config, chain_id, &r.config, &r.schedule, NULL), OK);
    return r;
}

static uint64_t wei(struct wei_amount a)
{
    uint64_t out = 0;
    assert_int_equal(u256_to_u64(wei_raw(a), &out), OK);
    return out;
}

static void assert_offer(const struct relay *r, uint64_t base, uint64_t reward,
                         enum relay_priority priority, uint64_t max, uint64_t tip)
{
    struct relay_fee fee = {.base = wei_of(u256_from_u64(base)),
                            .reward = wei_of(u256_from_u64(reward))};
    struct relay_offer offer;
    relay_fee_offer(r, &fee, priority, &offer);
    assert_int_equal(wei(offer.max), max);
    assert_int_equal(wei(offer.priority), tip);
}

static void avalanche_has_bounds_of_its_own(void **state)
{
    (void)state;
    struct relay_config open = config_of(0, 0);
    struct relay r = relay_of(&open, 43114);
    assert_int_equal(wei(wei_of(r.config.fee_wei_min)), 25 * GWEI);
    assert_int_equal(wei(wei_of(r.config.fee_wei_max)), 100 * GWEI);
    assert_offer(&r, 1 * GWEI, 1 * GWEI, RELAY_NORMAL, 25 * GWEI, 1 * GWEI);
    assert_offer(&r, 30 * GWEI, 2 * GWEI, RELAY_NORMAL, 62 * GWEI, 2 * GWEI);
    assert_offer(&r, 60 * GWEI, 2 * GWEI, RELAY_NORMAL, 100 * GWEI, 2 * GWEI);
    assert_offer(&r, 60 * GWEI, 300 * GWEI, RELAY_NORMAL, 100 * GWEI, 100 * GWEI);
    assert_string_equal(relay_profile_find(43113)->name, "fuji");
    assert_string_equal(relay_profile_find(1)->name, "general");
    r = relay_of(&open, 1);
    assert_int_equal(wei(wei_of(r.config.fee_wei_max)), 500 * GWEI);
    assert_offer(&r, 1 * GWEI, 0, RELAY_NORMAL, 2 * GWEI, 0);
}

static void what_is_configured_wins(void **state)
{
    (void)state;
    struct relay_config config = config_of(3, 40);
    struct relay r = relay_of(&config, 43114);
    assert_offer(&r, 1 * GWEI, 0, RELAY_NORMAL, 3 * GWEI, 0);
    assert_offer(&r, 39 * GWEI, 0, RELAY_NORMAL, 40 * GWEI, 0);
    /* A cap below the profile's floor is not contradicted by it. */
    config = config_of(0, 10);
    r = relay_of(&config, 43114);
    assert_true(u256_is_zero(r.config.fee_wei_min));
    config.priority_wei_min = u256_from_u64(2 * GWEI);
    r = relay_of(&config, 1);
    assert_offer(&r, 1 * GWEI, 1, RELAY_NORMAL, 4 * GWEI, 2 * GWEI);
}

static void priority_scales_the_reward(void **state)
{
    (void)state;
    struct relay_config config = config_of(0, 500);
    struct relay r = relay_of(&config, 1);
    assert_offer(&r, 10 * GWEI, 1000, RELAY_LOW, 20 * GWEI + 800, 800);
    assert_offer(&r, 10 * GWEI, 1000, RELAY_NORMAL, 20 * GWEI + 1000, 1000);
    assert_offer(&r, 10 * GWEI, 1000, RELAY_HIGH, 20 * GWEI + 1500, 1500);
    struct relay_fee legacy = {.legacy = true, .base = wei_of(u256_from_u64(10 * GWEI))};
    struct relay_offer offer;
    relay_fee_offer(&r, &legacy, RELAY_LOW, &offer); /* a node takes nothing below its price */
    assert_int_equal(wei(offer.max), 10 * GWEI);
    relay_fee_offer(&r, &legacy, RELAY_HIGH, &offer);
    assert_int_equal(wei(offer.max), 15 * GWEI);
    assert_true(offer.legacy);
}

static void absurd_fees_end_at_the_cap(void **state)
{
    (void)state;
    struct relay_config config = config_of(0, 500);
    struct relay r = relay_of(&config, 1);
    struct relay_fee fee = {.base = wei_of(U256_MAX), .reward = wei_of(U256_MAX)};
    struct relay_offer offer;
    relay_fee_offer(&r, &fee, RELAY_HIGH, &offer);
    assert_int_equal(wei(offer.max), 500 * GWEI);
    assert_int_equal(wei(offer.priority), 500 * GWEI);
}

static enum err risen(const struct relay *r, uint64_t old_max, uint64_t old_tip, uint64_t permille,
                      struct relay_offer *out)
{
    const struct relay_offer now = {.max = wei_of(u256_from_u64(1)),
                                    .priority = wei_of(u256_from_u64(1))};
    return relay_fee_raise(r, &now, wei_of(u256_from_u64(old_max)), wei_of(u256_from_u64(old_tip)),
                           permille, out, NULL);
}

static void replacements_rise_in_both_fields(void **state)
{
    (void)state;
    struct relay_config config = config_of(0, 500);
    struct relay r = relay_of(&config, 1);
    struct relay_offer offer;
    assert_int_equal(risen(&r, 1000, 8, 125, &offer), OK);
    assert_int_equal(wei(offer.max), 1126); /* 1000 * 1.125 + 1 */
    assert_int_equal(wei(offer.priority), 10);
    assert_int_equal(risen(&r, 1000, 0, 100, &offer), OK);
    assert_int_equal(wei(offer.max), 1101);
    assert_int_equal(wei(offer.priority), 1);
    /* What is offered now is more. */
    struct relay_offer now = {.max = wei_of(u256_from_u64(5000)),
                              .priority = wei_of(u256_from_u64(40))};
    assert_int_equal(relay_fee_raise(&r, &now, wei_of(u256_from_u64(1000)),
                                     wei_of(u256_from_u64(8)), 125, &offer, NULL),
                     OK);
    assert_int_equal(wei(offer.max), 5000);
    assert_int_equal(wei(offer.priority), 40);
    assert_int_equal(risen(&r, 490 * GWEI, 1, 125, &offer), ERR_LIMIT);
}

/* ---- the schedule ---- */

static void assert_refused(const char *text)
{
    struct relay_config config = config_of(0, 500);
    struct why why = {0};
    config.speed_up = text;
    if (relay_config_check(&config, 1, &why) != ERR_CONFIG) {
        fail_msg("\"%s\" was taken", text);
    }
    assert_string_equal(why.field, "relay.speed_up");
}

static void the_schedule_is_a_list(void **state)
{
    (void)state;
    struct relay_config config = config_of(0, 500);
    config.speed_up = "30s 12.5%, 2min 25% ,5min 100%";
    struct relay r = relay_of(&config, 1);
    assert_int_equal(r.schedule.count, 3);
    static const int64_t waits[] = {30, 120, 300, 300, 300};
    static const uint64_t bumps[] = {125, 250, 1000, 1000, 1000};
    for (uint32_t attempt = 1; attempt <= 5; attempt++) {
        const struct relay_speed_up *s = relay_speed_up_of(&r, attempt);
        assert_int_equal(s->wait_usec, waits[attempt - 1] * USEC_PER_SEC);
        assert_int_equal(s->bump_permille, bumps[attempt - 1]);
    }
    config.speed_up = " ";
    r = relay_of(&config, 1);
    assert_int_equal(r.schedule.count, 1);
    assert_int_equal(relay_speed_up_of(&r, 7)->wait_usec, 60 * USEC_PER_SEC);
    assert_int_equal(relay_speed_up_of(&r, 7)->bump_permille, 130);
    assert_refused("30s");
    assert_refused("30s 9.9%"); /* nodes want a tenth more */
    assert_refused("30s 12.55%");
    assert_refused("999ms 20%");
    assert_refused("30s 20");
    assert_refused("30s -20%");
    assert_refused("30s 1001%");
    assert_refused("30s 20%,,1min 20%");
    assert_refused("1s 10%,1s 10%,1s 10%,1s 10%,1s 10%,1s 10%,1s 10%,1s 10%,1s 10%,1s 10%,1s 10%,"
                   "1s 10%,1s 10%,1s 10%,1s 10%,1s 10%,1s 10%");
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    struct why why = {0};
    struct relay_config config = config_of(50, 40);
    assert_int_equal(relay_config_check(&config, 1, &why), ERR_CONFIG);
    assert_string_equal(why.field, "relay.min_fee");
    config = config_of(0, 40);
    config.priority_wei_min = u256_from_u64(41 * GWEI);
    assert_int_equal(relay_config_check(&config, 1, &why), ERR_CONFIG);
    assert_string_equal(why.field, "relay.min_priority_fee");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avalanche_has_bounds_of_its_own),
        cmocka_unit_test(what_is_configured_wins),
        cmocka_unit_test(priority_scales_the_reward),
        cmocka_unit_test(absurd_fees_end_at_the_cap),
        cmocka_unit_test(replacements_rise_in_both_fields),
        cmocka_unit_test(the_schedule_is_a_list),
        cmocka_unit_test(contradictions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
