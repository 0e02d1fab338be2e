#include "kernel/base/money.h"

#include "kernel/base/check.h"

static const struct u256 whole_token = {{UINT64_C(1000000000000000000), 0, 0, 0}};

struct stable_amount stable_of(struct u256 units)
{
    return (struct stable_amount){units};
}

struct u256 stable_raw(struct stable_amount a)
{
    return a.units_;
}

enum err stable_add(struct stable_amount a, struct stable_amount b, struct stable_amount *out)
{
    return u256_add(a.units_, b.units_, &out->units_);
}

enum err stable_sub(struct stable_amount a, struct stable_amount b, struct stable_amount *out)
{
    return u256_sub(a.units_, b.units_, &out->units_);
}

int stable_compare(struct stable_amount a, struct stable_amount b)
{
    return u256_compare(a.units_, b.units_);
}

bool stable_is_zero(struct stable_amount a)
{
    return u256_is_zero(a.units_);
}

struct token_amount token_of(struct u256 units)
{
    return (struct token_amount){units};
}

struct u256 token_raw(struct token_amount a)
{
    return a.units_;
}

enum err token_add(struct token_amount a, struct token_amount b, struct token_amount *out)
{
    return u256_add(a.units_, b.units_, &out->units_);
}

enum err token_sub(struct token_amount a, struct token_amount b, struct token_amount *out)
{
    return u256_sub(a.units_, b.units_, &out->units_);
}

int token_compare(struct token_amount a, struct token_amount b)
{
    return u256_compare(a.units_, b.units_);
}

bool token_is_zero(struct token_amount a)
{
    return u256_is_zero(a.units_);
}

struct wei_amount wei_of(struct u256 units)
{
    return (struct wei_amount){units};
}

struct u256 wei_raw(struct wei_amount a)
{
    return a.units_;
}

enum err wei_add(struct wei_amount a, struct wei_amount b, struct wei_amount *out)
{
    return u256_add(a.units_, b.units_, &out->units_);
}

enum err wei_sub(struct wei_amount a, struct wei_amount b, struct wei_amount *out)
{
    return u256_sub(a.units_, b.units_, &out->units_);
}

int wei_compare(struct wei_amount a, struct wei_amount b)
{
    return u256_compare(a.units_, b.units_);
}

enum err wei_scale_percent(struct wei_amount a, unsigned percent, struct wei_amount *out)
{
    return u256_mul_div(a.units_, u256_from_u64(percent), u256_from_u64(100), &out->units_, NULL);
}

enum err wei_times(struct wei_amount a, uint64_t count, struct wei_amount *out)
{
    return u256_mul(a.units_, u256_from_u64(count), &out->units_);
}

enum err stable_pro_rata(struct stable_amount total, struct token_amount part,
                         struct token_amount whole, struct stable_amount *out)
{
    ASSERT(!token_is_zero(whole));
    if (token_compare(part, whole) > 0) {
        return ERR_OVERFLOW;
    }
    return u256_mul_div(total.units_, part.units_, whole.units_, &out->units_, NULL);
}

enum err stable_price(struct token_amount amount, struct stable_amount price,
                      struct stable_amount *out)
{
    return u256_mul_div(amount.units_, price.units_, whole_token, &out->units_, NULL);
}

/* floor(total * steps / count): what is due when `steps` of `count` steps are over. */
static enum err due_after(struct stable_amount total, uint64_t steps, uint64_t count,
                          struct u256 *out)
{
    return u256_mul_div(total.units_, u256_from_u64(steps), u256_from_u64(count), out, NULL);
}

enum err stable_part(struct stable_amount total, uint64_t index, uint64_t count,
                     struct stable_amount *out)
{
    if (index >= count) {
        return ERR_OVERFLOW;
    }
    struct u256 before;
    struct u256 after;
    enum err e = due_after(total, index, count, &before);
    if (e == OK) {
        e = due_after(total, index + 1, count, &after);
    }
    return e == OK ? u256_sub(after, before, &out->units_) : e;
}
