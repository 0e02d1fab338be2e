/*
 * Rules about the chain: nodes, contracts, wallets.
 */
#include "kernel/ops/ops_doctor_rules.h"

#define HEAD_MILD_USEC (5 * 60ll * USEC_PER_SEC)
#define HEAD_BAD_USEC (60 * 60ll * USEC_PER_SEC)
/* Validators may be ahead of us by as much as nodes let pass. */
#define AHEAD_USEC (15ll * USEC_PER_SEC)

#define WALLET_TEXT_MAX (ADDRESS_TEXT_MAX + 1)

/* ---- nodes ---- */

static void judge_nodes(const struct ops_check *check, const struct ops_facts *f,
                        struct ops_verdict *out, bool chain_id)
{
    const struct ops_node_facts *n = &f->node;
    size_t good = 0;
    const char *bad = NULL;
    for (size_t i = 0; i < n->endpoint_count; i++) {
        const struct ops_answer *a = &n->endpoints[i].answer;
        bool wrong_chain = a->asked && a->err == ERR_WRONG_CHAIN;
        bool fails = a->asked && (chain_id ? wrong_chain : a->err != OK && !wrong_chain);
        good += a->asked && a->err == OK;
        bad = bad == NULL && fails ? a->text : bad;
    }
    if (bad != NULL && good > 0 && !chain_id) {
        ops_mild(out, "%s", bad);
    } else if (bad != NULL) {
        ops_bad(check, out, "%s", bad);
    } else if (good > 0 && chain_id) {
        ops_fine(out, "chain %llu", (unsigned long long)n->chain_id);
    } else if (good > 0) {
        ops_fine(out, "%zu of %zu answer", good, n->endpoint_count);
    } else if (chain_id) {
        ops_skip(out, "no node answers");
    } else {
        /* Those that answer serve another chain, which is the other check's to say. */
        ops_fine(out, "they answer");
    }
}

static bool starts_chain(const struct ops_facts *f, struct ops_verdict *out)
{
    if (f->config.starts_chain) {
        ops_skip(out, "no node is configured: the daemon starts a development chain");
    }
    return f->config.starts_chain;
}

void ops_rule_node(const struct ops_check *check, const struct ops_facts *f,
                   struct ops_verdict *out)
{
    if (starts_chain(f, out)) {
        return;
    }
    if (!ops_late(check, f, OPS_NODE, out)) {
        judge_nodes(check, f, out, false);
    }
}

void ops_rule_chain_id(const struct ops_check *check, const struct ops_facts *f,
                       struct ops_verdict *out)
{
    if (!starts_chain(f, out)) {
        judge_nodes(check, f, out, true);
    }
}

void ops_rule_syncing(const struct ops_check *check, const struct ops_facts *f,
                      struct ops_verdict *out)
{
    if (f->node.syncing) {
        ops_bad(check, out, "%s is still reading the chain", f->node.origin);
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_head(const struct ops_check *check, const struct ops_facts *f,
                   struct ops_verdict *out)
{
    const struct ops_node_facts *n = &f->node;
    int64_t age = f->now_usec - n->head_usec;
    char span[OPS_SPAN_MAX];
    ops_span_format(age < 0 ? 0 : age, span);
    if (n->instant) {
        ops_fine(out, "block %llu of a development chain", (unsigned long long)n->head);
    } else if (age > HEAD_BAD_USEC) {
        ops_bad(check, out, "block %llu is %s old", (unsigned long long)n->head, span);
    } else if (age > HEAD_MILD_USEC) {
        ops_mild(out, "block %llu is %s old", (unsigned long long)n->head, span);
    } else {
        ops_fine(out, "block %llu is %s old", (unsigned long long)n->head, span);
    }
}

void ops_rule_node_clock(const struct ops_check *check, const struct ops_facts *f,
                         struct ops_verdict *out)
{
    int64_t ahead = f->node.head_usec - f->now_usec;
    char span[OPS_SPAN_MAX];
    if (f->node.instant) {
        ops_skip(out, "a development chain has the time that it was given");
        return;
    }
    ops_span_format(ahead, span);
    if (ahead > AHEAD_USEC) {
        ops_bad(check, out, "the newest block is %s in the future of this machine", span);
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_start_block(const struct ops_check *check, const struct ops_facts *f,
                          struct ops_verdict *out)
{
    const struct ops_node_facts *n = &f->node;
    if (n->start_block > n->head) {
        ops_bad(check, out, "chain.start_block is %llu, the newest block is %llu",
                (unsigned long long)n->start_block, (unsigned long long)n->head);
    } else {
        ops_fine(out, "%llu", (unsigned long long)n->start_block);
    }
}

static void judge_answer(const struct ops_check *check, const struct ops_answer *a,
                         struct ops_verdict *out)
{
    if (!a->asked) {
        ops_skip(out, "it was not asked");
    } else if (a->err != OK) {
        ops_bad(check, out, "%s", a->text);
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_logs(const struct ops_check *check, const struct ops_facts *f,
                   struct ops_verdict *out)
{
    judge_answer(check, &f->node.logs, out);
}

void ops_rule_finalized(const struct ops_check *check, const struct ops_facts *f,
                        struct ops_verdict *out)
{
    judge_answer(check, &f->node.finalized, out);
}

void ops_rule_receipts(const struct ops_check *check, const struct ops_facts *f,
                       struct ops_verdict *out)
{
    judge_answer(check, &f->node.receipts, out);
}

/* ---- contracts ---- */

void ops_rule_code(const struct ops_check *check, const struct ops_facts *f,
                   struct ops_verdict *out)
{
    judge_answer(check, &f->contracts[OPS_CONTRACT_CODE], out);
}

void ops_rule_agreement(const struct ops_check *check, const struct ops_facts *f,
                        struct ops_verdict *out)
{
    judge_answer(check, &f->contracts[OPS_CONTRACT_AGREEMENT], out);
}

void ops_rule_decimals(const struct ops_check *check, const struct ops_facts *f,
                       struct ops_verdict *out)
{
    judge_answer(check, &f->contracts[OPS_CONTRACT_DECIMALS], out);
}

void ops_rule_implementation(const struct ops_check *check, const struct ops_facts *f,
                             struct ops_verdict *out)
{
    judge_answer(check, &f->contracts[OPS_CONTRACT_IMPLEMENTATION], out);
}

void ops_rule_roles(const struct ops_check *check, const struct ops_facts *f,
                    struct ops_verdict *out)
{
    judge_answer(check, &f->contracts[OPS_CONTRACT_ROLES], out);
}

/* ---- wallets ---- */

void ops_rule_keys(const struct ops_check *check, const struct ops_facts *f,
                   struct ops_verdict *out)
{
    if (ops_late(check, f, OPS_KEYS, out)) {
        return;
    }
    if (!f->signs) {
        ops_skip(out, "this process does not relay");
    } else if (f->keys.err != OK) {
        ops_bad(check, out, "%s", f->keys.text);
    } else if (f->wallet_count == 0 && !f->config.starts_chain) {
        ops_mild(out, "there is none: nothing can be sent");
    } else {
        ops_fine(out, "%zu wallets", f->wallet_count);
    }
}

void ops_rule_balance(const struct ops_check *check, const struct ops_facts *f,
                      struct ops_verdict *out)
{
    char wallet[WALLET_TEXT_MAX];
    const struct ops_wallet_facts *poorest = NULL;
    for (size_t i = 0; i < f->wallet_count; i++) {
        const struct ops_wallet_facts *w = &f->wallets[i];
        poorest = poorest == NULL || wei_compare(w->balance, poorest->balance) < 0 ? w : poorest;
    }
    if (poorest == NULL) {
        ops_skip(out, "there is no wallet");
        return;
    }
    address_format(&poorest->address, wallet);
    if (u256_is_zero(wei_raw(poorest->balance))) {
        ops_bad(check, out, "%s has nothing", wallet);
    } else if (wei_compare(poorest->balance, wei_of(f->balance_wei_alert)) < 0) {
        ops_mild(out, "%s has less than ops.balance_alert", wallet);
    } else {
        ops_fine(out, "%zu wallets", f->wallet_count);
    }
}

void ops_rule_nonce(const struct ops_check *check, const struct ops_facts *f,
                    struct ops_verdict *out)
{
    char wallet[WALLET_TEXT_MAX];
    for (size_t i = 0; i < f->wallet_count; i++) {
        const struct ops_wallet_facts *w = &f->wallets[i];
        address_format(&w->address, wallet);
        if (w->in_database && w->next < w->latest) {
            ops_bad(check, out, "%s: nonce %llu is next here, but %llu are mined: somebody sends",
                    wallet, (unsigned long long)w->next, (unsigned long long)w->latest);
            return;
        }
        if (w->in_database && w->next > w->pending && w->open == 0) {
            ops_bad(check, out, "%s: nonce %llu is next here, but the node waits for %llu", wallet,
                    (unsigned long long)w->next, (unsigned long long)w->pending);
            return;
        }
        if (w->pending > w->latest && w->open == 0) {
            ops_bad(check, out, "%s: %llu transactions wait in the node that are not ours", wallet,
                    (unsigned long long)(w->pending - w->latest));
            return;
        }
    }
    ops_fine(out, "yes");
}
