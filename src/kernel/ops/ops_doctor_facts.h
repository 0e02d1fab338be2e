/*
 * ops_doctor_facts.h: what is known of an installation, for the rules of the doctor.
 *
 * One struct without pointers, so that each look can be made by a process of its own into memory
 * that they share: one that hangs is ended and one that crashes is told, and the others go on. Of
 * each topic the struct says whether it is known, and if not, why. Members are what was seen, not
 * what it means: an answer with its sentence, a number, a mode.
 *
 * No secret is a fact: of settings only whether they are there, of URLs what may be shown of them,
 * of keys their addresses. Texts are cut to their room. Zero is "not seen".
 */
#ifndef KERNEL_OPS_OPS_DOCTOR_FACTS_H
#define KERNEL_OPS_OPS_DOCTOR_FACTS_H

#include "kernel/evm/address.h"
#include "kernel/ledger/ledger.h"
#include "kernel/ops/ops.h"

#define OPS_PATH_MAX 512
#define OPS_SAID_MAX WHY_TEXT_MAX

/* What a check needs to be known. The order is that of the reference only. */
enum ops_topic {
    OPS_NOTHING,
    OPS_CONFIG,    /* the settings were read */
    OPS_FILES,     /* folders and files were looked at */
    OPS_KEYS,      /* the keystore was opened */
    OPS_FILE,      /* the database is an SQLite file */
    OPS_SERVER,    /* the database is a PostgreSQL server, and answers */
    OPS_ROWS,      /* the database can be read, and has the schema of this program */
    OPS_BOOKS,     /* ledger and audit log were read */
    OPS_NODE,      /* a node of the right chain answers */
    OPS_CONTRACTS, /* the configured contracts were asked */
    OPS_BALANCES,  /* the node was asked about the wallets */
    OPS_HTTP,
    OPS_REDIS,
    OPS_BACKUP,
    OPS_TOPIC_COUNT,
};

struct ops_topic_state {
    bool known;
    bool late;              /* it did not answer in time, or looking at it crashed */
    char why[OPS_SAID_MAX]; /* not known: a sentence */
};

/* What somebody answered: OK, or an error with its sentence. */
struct ops_answer {
    bool asked;
    enum err err;
    char text[OPS_SAID_MAX];
};

/* A file that others than its owner may read or write. Units: permission bits. */
struct ops_loose {
    char path[OPS_PATH_MAX]; /* "": none */
    unsigned mode;
};

struct ops_config_facts {
    struct ops_answer load;
    char path[OPS_PATH_MAX]; /* "": no file */
    unsigned mode;           /* of the file */
    bool file_has_secrets;   /* some secret or a URL with a password came from it */
    bool real_chain;         /* not a development chain */
    bool starts_chain;       /* no node is configured: a development chain is started */
    uint64_t confirmations;
    uint64_t dev_accounts;
    size_t node_count;
    char cleartext[NET_ORIGIN_MAX]; /* a node on another machine asked without TLS; "": none */
    bool has_operator_token;
    bool outside;  /* http.host is not loopback */
    bool unsynced; /* store.synchronous = normal */
};

struct ops_machine_facts {
    uint64_t descriptors; /* hard limit of open files */
    uint64_t descriptors_wanted;
    uint64_t file_bytes_max; /* UINT64_MAX: no limit */
    struct ops_answer anvil; /* asked when a development chain would be started */
};

struct ops_file_facts {
    char folder[OPS_PATH_MAX]; /* where the program writes */
    bool folder_exists;
    struct ops_answer writable; /* the folder, or the one that it would be made in */
    uint64_t free_bytes;
    uint64_t filesystem; /* f_type of statfs(2) */
    bool has_database;   /* an SQLite file is there */
    struct ops_loose database;
    struct ops_loose keystore;
    struct ops_loose password;
    struct ops_answer password_file; /* asked when one is configured */
    bool has_keystore;
};

struct ops_database_facts {
    struct ops_answer open;
    char shown[OPS_PATH_MAX];
    bool is_new; /* nothing there yet: the first start makes it */
    bool is_file;
    struct ops_answer schema; /* migrations belong to this program */
    uint32_t applied;
    uint32_t known;
    struct ops_answer whole; /* no half copy */
    /* A file. */
    uint64_t bytes;
    int64_t owner_pid;    /* who has it, 0: nobody */
    int64_t intruder_pid; /* another process with locks on it, 0: none */
    uint64_t wal_bytes;
    struct ops_answer integrity; /* not asked of large files */
    /* A server. */
    int64_t version; /* 150004 */
    bool fsync;
    bool full_page_writes;
    bool autovacuum;
    bool waits_for_disk; /* synchronous_commit is not off */
    int64_t connections_free;
    uint64_t connections_wanted;
    int64_t clock_ahead_usec; /* of ours */
    char unanalysed[64];      /* the largest table without statistics; "": none */
    char partition[64];       /* one that is missing; "": none */
};

struct ops_work_facts {
    int64_t dead;
    uint64_t dead_alert;
    uint64_t processes;        /* that live */
    char orphan[96];           /* a lease whose owner is dead; "": none */
    int64_t orphan_usec;       /* for how long */
    int64_t keys_stuck;        /* idempotency keys whose request did not end */
    int64_t keys_expired;      /* that should have been purged */
    char halted[OPS_SAID_MAX]; /* why the chain stands; "": it does not */
    int64_t backup_usec;       /* last good backup, 0: none */
    int64_t verified_usec;
};

struct ops_books_facts {
    uint64_t books;
    uint64_t unbalanced;
    char first_book[LEDGER_BOOK_MAX + 1];
    uint64_t audit_rows; /* that were proven */
    struct ops_answer audit;
};

struct ops_node_facts {
    struct {
        char origin[NET_ORIGIN_MAX];
        struct ops_answer answer;
    } endpoints[RPC_ENDPOINTS_MAX];
    size_t endpoint_count;
    char origin[NET_ORIGIN_MAX]; /* of the one that was asked the rest */
    uint64_t chain_id;
    bool instant; /* a development chain, which mines when there is something to mine */
    bool syncing;
    uint64_t head;
    int64_t head_usec; /* time of the newest block */
    uint64_t start_block;
    struct ops_answer logs;
    struct ops_answer finalized;
    struct ops_answer receipts;
};

enum ops_contract_question {
    OPS_CONTRACT_CODE,
    OPS_CONTRACT_AGREEMENT,
    OPS_CONTRACT_DECIMALS,
    OPS_CONTRACT_IMPLEMENTATION,
    OPS_CONTRACT_ROLES,
    OPS_CONTRACT_QUESTIONS,
};

struct ops_wallet_facts {
    struct address address;
    struct wei_amount balance;
    uint64_t latest;  /* transactions of it that are mined */
    uint64_t pending; /* that the node knows of */
    bool in_database;
    uint64_t next; /* nonce that we would take next */
    uint64_t open; /* transactions of ours that are signed or sent */
};

struct ops_http_facts {
    char place[160]; /* host:port */
    bool any_port;
    struct ops_answer bind; /* may it be listened on */
    bool ours;              /* a freehold listens there */
};

struct ops_backup_facts {
    char place[OPS_PATH_MAX];
    struct ops_answer list;
    struct ops_answer writable;
    size_t count;
    int64_t newest_usec; /* of the place; 0: none */
    int64_t age_usec_max;
};

struct ops_facts {
    struct ops_topic_state topics[OPS_TOPIC_COUNT];
    int64_t now_usec;
    struct ops_config_facts config;
    struct ops_machine_facts machine;
    struct ops_file_facts files;
    struct ops_database_facts database;
    struct ops_work_facts work;
    struct ops_books_facts books;
    struct ops_node_facts node;
    struct ops_answer contracts[OPS_CONTRACT_QUESTIONS];
    struct ops_answer keys;
    bool signs; /* this process is one that relays */
    struct u256 balance_wei_alert;
    struct ops_wallet_facts wallets[OPS_WALLETS_MAX];
    size_t wallet_count;
    /* Those of the database, whoever has their keys. */
    struct ops_wallet_facts noted[OPS_WALLETS_MAX];
    size_t noted_count;
    struct ops_http_facts http;
    struct ops_answer redis;
    struct ops_backup_facts backup;
};

/* ops_topic_learn says that a topic is known. */
void ops_topic_learn(struct ops_facts *facts, enum ops_topic topic);
/* ops_topic_miss says why a topic is not known; the first reason stays. */
void ops_topic_miss(struct ops_facts *facts, enum ops_topic topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* ops_answer_set writes an answer down. */
void ops_answer_set(struct ops_answer *answer, enum err err, const struct why *why);

#endif
