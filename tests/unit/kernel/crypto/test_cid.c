/*
 * Identifiers of files, compared with those of ipfs-unixfs-importer 17.1.1 (npm; cidVersion 1, raw
 * leaves, chunks of 262144): byte i of each file is (i * 31 + (i >> 8)) & 0xFF.
 */
#include "kernel/base/mem.h"
#include "kernel/crypto/cid.h"
#include "unit/test.h"

static const struct {
    size_t size;
    const char *cid;
} vectors[] = {
    {0, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
    {1, "bafkreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu"},
    {262143, "bafkreicrm7kbmhauoblbuhnqppwpfqkplz3woarynwidm3uqjx27w3s7ri"},
    {262144, "bafkreicyf2rsjlabvogs5vfihpzfegm2q5hjwrohaneftr2crm6gsnlznm"},
    {262145, "bafybeidgoqoyg4yhalu6oks2gnsjbs74tnoepwkl77plj4i4rd6lhvt424"},
    {524288, "bafybeig3atojx6ws4ghqmgsfq7dx43alqpgbcmp3ztg465catkpl7nnija"},
    {45613056, "bafybeictnhkryr6nrwjc27yponmmlpktev4dnsvngaji55edlddqcrcwqu"}, /* 174 leaves */
    {45613057, "bafybeibceeiwyvx3pxrrewxawlbhjvw5ia7lqgj7pt6zjsw56m6vxph5dq"},
    {45875205, "bafybeicy2z4rlz2msd2vpd4u6d5s3vyu3py7u4gpofjmqwwnzz67pgyg6u"},
    {52428800, "bafybeieb66a63qhtrs7yy3iaik7evs2ca4wjmkyrbowljvdaiwdl2ha7y4"},
};

/* Feeds the file in pieces of `step` bytes. */
static void expect(size_t size, size_t step, const char *expected)
{
    uint8_t *piece = mem_alloc(step);
    char text[CID_TEXT_MAX];
    struct cid *c = cid_new();
    for (size_t at = 0; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        for (size_t i = 0; i < len; i++) {
            piece[i] = (uint8_t)((at + i) * 31 + ((at + i) >> 8));
        }
        cid_update(c, slice_of(piece, len));
    }
    cid_final(c, text);
    cid_free(c);
    mem_free(piece);
    assert_string_equal(text, expected);
}

static void files_have_the_identifiers_that_ipfs_gives(void **state)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        expect(vectors[i].size, 65536, vectors[i].cid);
    }
}

static void pieces_do_not_matter(void **state)
{
    for (size_t i = 0; i < 6; i++) {
        expect(vectors[i].size, 1, vectors[i].cid);
        expect(vectors[i].size, 8191, vectors[i].cid);
        expect(vectors[i].size, 1000000, vectors[i].cid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_have_the_identifiers_that_ipfs_gives),
        cmocka_unit_test(pieces_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
