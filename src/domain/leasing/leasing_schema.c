#include "domain/leasing/leasing_schema.h"

#include "domain/leasing/leasing_schema_parts.h"

/* Things that answers are made of. */
#define CLAIM                                                                                      \
    "{\"type\":\"object\",\"required\":[\"claimId\",\"roundId\",\"holderAddress\","                \
    "\"tokenBalance\",\"claimAmount\",\"claimed\",\"status\",\"claimedAt\","                       \
    "\"transactionHash\",\"transaction\"],\"properties\":{\"claimId\":" TEXT                       \
    ",\"roundId\":" INTEGER ",\"holderAddress\":" ADDRESS ",\"tokenBalance\":" AMOUNT              \
    ",\"claimAmount\":" AMOUNT ",\"claimed\":" BOOL                                                \
    ",\"status\":{\"enum\":[\"open\",\"pending\",\"claimed\"]},\"claimedAt\":" TIME_OR_NULL        \
    ",\"transactionHash\":" HASH_OR_NULL ",\"transaction\":" TRANSACTION "}}"
#define ASSET                                                                                      \
    "{\"type\":\"object\",\"required\":[\"assetId\",\"chainId\",\"name\",\"description\","         \
    "\"assetType\",\"status\",\"error\",\"metadata\",\"metadataHash\",\"contractAddress\","        \
    "\"token\",\"onChain\",\"createdAt\",\"updatedAt\",\"transaction\"],\"properties\":{"          \
    "\"assetId\":" TEXT ",\"chainId\":" INTEGER ",\"name\":" TEXT ",\"description\":" TEXT         \
    ",\"assetType\":" TEXT ",\"status\":{\"enum\":[\"registered\",\"active\",\"inactive\","        \
    "\"failed\"]},\"error\":" TEXT_OR_NULL ",\"metadata\":" OBJECT ",\"metadataHash\":" HASH       \
    ",\"contractAddress\":" ADDRESS                                                                \
    ",\"token\":{\"type\":\"object\",\"required\":[\"address\",\"name\",\"symbol\","               \
    "\"decimals\",\"totalSupply\",\"recipient\"],\"properties\":{\"address\":" ADDRESS_OR_NULL     \
    ",\"name\":" TEXT_OR_NULL ",\"symbol\":" TEXT_OR_NULL ",\"decimals\":" INTEGER                 \
    ",\"totalSupply\":" AMOUNT ",\"recipient\":" ADDRESS                                           \
    "}},\"onChain\":{\"type\":[\"object\",\"null\"],\"required\":[\"id\",\"tokenAddress\","        \
    "\"blockNumber\",\"transactionHash\"],\"properties\":{\"id\":" AMOUNT                          \
    ",\"tokenAddress\":" ADDRESS ",\"blockNumber\":" INTEGER ",\"transactionHash\":" HASH          \
    "}},\"createdAt\":" TIME ",\"updatedAt\":" TIME ",\"transaction\":" TRANSACTION "}}"
#define LEASE                                                                                      \
    "{\"type\":\"object\",\"required\":[\"leaseId\",\"assetId\",\"status\",\"error\","             \
    "\"chainId\",\"contractAddress\",\"lessorAddress\",\"lesseeAddress\",\"terms\","               \
    "\"paymentToken\",\"paymentTokenSymbol\",\"deadline\",\"legalDocumentHash\","                  \
    "\"termsVersion\",\"metadata\",\"metadataHash\",\"signatures\",\"signaturesRequired\","        \
    "\"offer\",\"onChain\",\"termination\",\"action\",\"createdAt\",\"updatedAt\","                \
    "\"transaction\"],\"properties\":{\"leaseId\":" TEXT ",\"assetId\":" TEXT                      \
    ",\"status\":{\"enum\":[\"draft\",\"pending_signatures\",\"active\",\"completed\","            \
    "\"terminated\"]},\"error\":" TEXT_OR_NULL ",\"chainId\":" INTEGER                             \
    ",\"contractAddress\":" ADDRESS ",\"lessorAddress\":" ADDRESS                                  \
    ",\"lesseeAddress\":" ADDRESS_OR_NULL                                                          \
    ",\"terms\":{\"type\":\"object\",\"required\":[\"startDate\",\"endDate\","                     \
    "\"paymentAmount\",\"paymentSchedule\",\"currency\",\"restrictions\",\"rentPeriod\","          \
    "\"securityDeposit\"],\"properties\":{\"startDate\":" TIME ",\"endDate\":" TIME                \
    ",\"paymentAmount\":" AMOUNT ",\"paymentSchedule\":" TEXT ",\"currency\":" TEXT                \
    ",\"restrictions\":{\"type\":\"array\",\"items\":" TEXT "},\"rentPeriod\":" INTEGER            \
    ",\"securityDeposit\":" AMOUNT "}},\"paymentToken\":" ADDRESS                                  \
    ",\"paymentTokenSymbol\":" TEXT_OR_NULL ",\"deadline\":" TIME ",\"legalDocumentHash\":" HASH   \
    ",\"termsVersion\":" INTEGER ",\"metadata\":" OBJECT ",\"metadataHash\":" HASH                 \
    ",\"signatures\":{\"type\":\"object\",\"required\":[\"lessor\",\"lessee\"],"                   \
    "\"properties\":{\"lessor\":" BOOL ",\"lessee\":" BOOL                                         \
    "}},\"signaturesRequired\":{\"type\":\"array\",\"items\":{\"enum\":[\"lessor\","               \
    "\"lessee\"]}},\"offer\":{\"type\":[\"object\",\"null\"],\"required\":[\"offerId\","           \
    "\"status\"],\"properties\":{\"offerId\":" AMOUNT ",\"status\":" TEXT_OR_NULL                  \
    "}},\"onChain\":{\"type\":[\"object\",\"null\"],\"required\":[\"tokenId\","                    \
    "\"blockNumber\",\"transactionHash\"],\"properties\":{\"tokenId\":" AMOUNT                     \
    ",\"blockNumber\":" INTEGER ",\"transactionHash\":" HASH                                       \
    "}},\"termination\":{\"type\":[\"object\",\"null\"],\"required\":[\"lessor\",\"lessee\","      \
    "\"reason\"],\"properties\":{\"lessor\":" BOOL ",\"lessee\":" BOOL ",\"reason\":" TEXT_OR_NULL \
    "}},\"action\":{\"type\":[\"object\",\"null\"],\"required\":[\"purpose\",\"transaction\"]"     \
    ",\"properties\":{\"purpose\":" TEXT ",\"transaction\":" TRANSACTION "}},\"createdAt\":" TIME  \
    ",\"updatedAt\":" TIME ",\"transaction\":" TRANSACTION ",\"digest\":" HASH                     \
    ",\"structHash\":" HASH ",\"typedData\":" OBJECT ",\"transactionRequest\":" REQUEST "}}"
#define ROUND                                                                                      \
    "{\"type\":\"object\",\"required\":[\"roundId\",\"assetId\",\"leaseId\",\"leaseTokenId\","     \
    "\"onChainAssetId\",\"tokenAddress\",\"snapshotId\",\"snapshotBlock\",\"totalAmount\","        \
    "\"supply\",\"remainder\",\"remainderTo\",\"status\",\"transactionHash\",\"createdAt\"],"      \
    "\"properties\":{\"roundId\":" INTEGER ",\"assetId\":" TEXT_OR_NULL                            \
    ",\"leaseId\":" TEXT_OR_NULL ",\"leaseTokenId\":" AMOUNT ",\"onChainAssetId\":" AMOUNT         \
    ",\"tokenAddress\":" ADDRESS ",\"snapshotId\":" TEXT ",\"snapshotBlock\":" INTEGER             \
    ",\"totalAmount\":" AMOUNT ",\"supply\":" AMOUNT ",\"remainder\":" AMOUNT                      \
    ",\"remainderTo\":" ADDRESS_OR_NULL                                                            \
    ",\"status\":{\"enum\":[\"calculating\",\"open\",\"closed\"]},\"transactionHash\":" HASH       \
    ",\"createdAt\":" TIME "}}"

/* A document as the metadata of an asset name it. */
#define DOCUMENT                                                                                   \
    "{\"type\":\"object\",\"required\":[\"documentId\",\"filename\",\"documentType\",\"hash\","    \
    "\"uploadedAt\"],\"properties\":{\"documentId\":{\"type\":\"string\",\"minLength\":1,"         \
    "\"maxLength\":255},\"filename\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255},"     \
    "\"documentType\":{\"enum\":[\"manual\",\"certification\",\"specification\","                  \
    "\"lease_agreement\"]},\"hash\":" HASH ",\"uploadedAt\":" TIME "}}"

const char leasing_schema_type_body[] =
    "{\"type\":\"object\",\"required\":[\"name\",\"schema\",\"requiredLeaseKeys\"],"
    "\"properties\":{\"name\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9_]{1,64}$\"},"
    "\"schema\":{\"type\":\"object\","
    "\"description\":\"JSON Schema of metadata.specifications; what it says of required lease "
    "keys among its properties holds for metadata of leases\"},\"requiredLeaseKeys\":{"
    "\"type\":\"array\",\"maxItems\":64,\"uniqueItems\":true,\"items\":{\"type\":\"string\","
    "\"pattern\":\"^[A-Za-z0-9_]{1,64}$\"}},\"metadata\":{\"type\":\"object\","
    "\"additionalProperties\":" TEXT "}},\"additionalProperties\":false}";

const char leasing_schema_type[] =
    "{\"type\":\"object\",\"required\":[\"name\",\"typeHash\",\"schema\","
    "\"requiredLeaseKeys\",\"status\",\"error\",\"blockNumber\",\"transactionHash\","
    "\"createdAt\",\"updatedAt\",\"transaction\",\"metadata\"],\"properties\":{\"name\":" TEXT
    ",\"typeHash\":" HASH ",\"schema\":" OBJECT
    ",\"requiredLeaseKeys\":{\"type\":\"array\",\"items\":" TEXT
    "},\"status\":{\"enum\":[\"registered\",\"active\",\"failed\"]},\"error\":" TEXT_OR_NULL
    ",\"blockNumber\":" INTEGER_OR_NULL ",\"transactionHash\":" HASH_OR_NULL ",\"createdAt\":" TIME
    ",\"updatedAt\":" TIME ",\"transaction\":" TRANSACTION ",\"metadata\":" OBJECT "}}";

const char leasing_schema_type_list[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\",\"typeHash\","
    "\"schema\",\"requiredLeaseKeys\",\"status\",\"error\",\"blockNumber\","
    "\"transactionHash\",\"createdAt\",\"updatedAt\",\"transaction\"],\"properties\":{"
    "\"name\":" TEXT ",\"typeHash\":" HASH ",\"schema\":" OBJECT
    ",\"requiredLeaseKeys\":{\"type\":\"array\",\"items\":" TEXT
    "},\"status\":{\"enum\":[\"registered\",\"active\",\"failed\"]},\"error\":" TEXT_OR_NULL
    ",\"blockNumber\":" INTEGER_OR_NULL ",\"transactionHash\":" HASH_OR_NULL ",\"createdAt\":" TIME
    ",\"updatedAt\":" TIME ",\"transaction\":" TRANSACTION "}}}";

const char leasing_schema_asset_body[] =
    "{\"type\":\"object\",\"required\":[\"metadata\",\"tokenName\",\"tokenSymbol\","
    "\"totalSupply\"],\"properties\":{\"metadata\":{\"type\":\"object\",\"required\":["
    "\"assetId\",\"name\",\"description\",\"assetType\",\"specifications\",\"documents\","
    "\"createdAt\",\"updatedAt\"],\"properties\":{"
    "\"assetId\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_.-]{1,50}$\"},\"name\":{"
    "\"type\":\"string\",\"minLength\":1,\"maxLength\":255},\"description\":{"
    "\"type\":\"string\",\"minLength\":1,\"maxLength\":1000},\"assetType\":{"
    "\"type\":\"string\",\"pattern\":\"^[a-z0-9_]{1,64}$\"},\"specifications\":" OBJECT
    ",\"documents\":{\"type\":\"array\",\"items\":" DOCUMENT "},\"createdAt\":" TIME
    ",\"updatedAt\":" TIME
    "}},\"tokenName\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64},\"tokenSymbol\":{"
    "\"type\":\"string\",\"minLength\":1,\"maxLength\":16},\"totalSupply\":" AMOUNT
    ",\"tokenRecipient\":" ADDRESS "},\"additionalProperties\":false}";

const char leasing_schema_registration[] =
    "{\"type\":\"object\",\"required\":[\"assetId\",\"status\",\"metadataHash\","
    "\"transactionId\",\"transactionHash\",\"onChainId\",\"tokenAddress\"],\"properties\":{"
    "\"assetId\":" TEXT
    ",\"status\":{\"enum\":[\"pending\",\"confirmed\",\"failed\"]},\"metadataHash\":" HASH
    ",\"transactionId\":" TEXT_OR_NULL ",\"transactionHash\":" HASH_OR_NULL
    ",\"onChainId\":" AMOUNT_OR_NULL ",\"tokenAddress\":" ADDRESS_OR_NULL ",\"error\":" TEXT
    ",\"code\":" TEXT "}}";

const char leasing_schema_asset[] = ASSET;

const char leasing_schema_asset_list[] = "{\"type\":\"array\",\"items\":" ASSET "}";

const char leasing_schema_holders[] =
    "{\"type\":\"object\",\"required\":[\"assetId\",\"tokenAddress\",\"blockNumber\","
    "\"holders\",\"holderCount\",\"sum\",\"totalSupply\"],\"properties\":{\"assetId\":" TEXT
    ",\"tokenAddress\":" ADDRESS ",\"blockNumber\":" INTEGER
    ",\"holders\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":["
    "\"holderAddress\",\"balance\"],\"properties\":{\"holderAddress\":" ADDRESS
    ",\"balance\":" AMOUNT "}}},\"holderCount\":" INTEGER ",\"sum\":" AMOUNT
    ",\"totalSupply\":" AMOUNT "}}";

const char leasing_schema_claim[] = CLAIM;

const char leasing_schema_claim_list[] = "{\"type\":\"array\",\"items\":" CLAIM "}";

const char leasing_schema_payment[] =
    "{\"type\":\"object\",\"required\":[\"claim\",\"transactionRequest\"],\"properties\":{"
    "\"claim\":" CLAIM ",\"transactionRequest\":" REQUEST "}}";

const char leasing_schema_account[] =
    "{\"type\":\"object\",\"required\":[\"address\",\"wallet\",\"tokens\",\"claims\","
    "\"claimable\",\"bids\",\"escrowed\",\"ledger\"],\"properties\":{\"address\":" ADDRESS
    ",\"wallet\":" BOOL
    ",\"tokens\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":["
    "\"tokenAddress\",\"balance\",\"assetId\"],\"properties\":{\"tokenAddress\":" ADDRESS
    ",\"balance\":" AMOUNT ",\"assetId\":" TEXT_OR_NULL ",\"name\":" TEXT_OR_NULL
    ",\"symbol\":" TEXT_OR_NULL "}}},\"claims\":{\"type\":\"array\",\"items\":" CLAIM
    "},\"claimable\":" AMOUNT
    ",\"bids\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"offerId\","
    "\"bidIndex\",\"funds\"],\"properties\":{\"offerId\":" AMOUNT ",\"bidIndex\":" AMOUNT
    ",\"funds\":" AMOUNT "}}},\"escrowed\":" AMOUNT
    ",\"ledger\":{\"type\":\"object\",\"required\":[\"book\",\"claimable\",\"external\"],"
    "\"properties\":{\"book\":" TEXT
    ",\"claimable\":{\"type\":\"object\",\"required\":[\"credits\",\"debits\",\"available\"],"
    "\"properties\":{\"credits\":" AMOUNT ",\"debits\":" AMOUNT ",\"available\":" AMOUNT
    "}},\"external\":{\"type\":\"object\",\"required\":[\"credits\",\"debits\",\"available\"],"
    "\"properties\":{\"credits\":" AMOUNT ",\"debits\":" AMOUNT ",\"available\":" AMOUNT "}}}}}}";

const char leasing_schema_contracts[] =
    "{\"type\":\"object\",\"required\":[\"chainId\",\"stablecoin\",\"assetRegistry\","
    "\"leaseFactory\",\"marketplace\",\"registrar\",\"stablecoinSymbol\","
    "\"stablecoinDecimals\",\"withdrawals\"],\"properties\":{\"chainId\":" INTEGER
    ",\"stablecoin\":" ADDRESS ",\"assetRegistry\":" ADDRESS ",\"leaseFactory\":" ADDRESS
    ",\"marketplace\":" ADDRESS ",\"registrar\":" ADDRESS_OR_NULL
    ",\"stablecoinSymbol\":" TEXT_OR_NULL ",\"stablecoinDecimals\":" INTEGER
    ",\"withdrawals\":" BOOL "}}";

const char leasing_schema_lease_body[] =
    "{\"type\":\"object\",\"required\":[\"assetId\",\"lessorAddress\",\"terms\","
    "\"legalDocumentHash\"],\"properties\":{\"leaseId\":{\"type\":\"string\",\"pattern\":\"^["
    "A-Za-z0-9_.-]{1,50}$\"},\"assetId\":" TEXT ",\"lessorAddress\":" ADDRESS
    ",\"lesseeAddress\":{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{40}$\","
    "\"description\":\"Without one the lease is offered on the marketplace\"},\"terms\":{"
    "\"type\":\"object\",\"required\":[\"startDate\",\"endDate\",\"paymentAmount\","
    "\"paymentSchedule\",\"currency\"],\"properties\":{\"startDate\":" TIME ",\"endDate\":" TIME
    ",\"paymentAmount\":{\"type\":\"string\",\"pattern\":\"^[0-9]+$\","
    "\"description\":\"Minor units of the stablecoin a rent period\"},\"paymentSchedule\":{"
    "\"enum\":[\"monthly\",\"quarterly\",\"annual\",\"upfront\"]},\"currency\":{"
    "\"type\":\"string\",\"minLength\":1,\"maxLength\":10},\"restrictions\":{"
    "\"type\":\"array\",\"items\":" TEXT "},\"rentPeriod\":{\"type\":\"integer\",\"minimum\":1,"
    "\"description\":\"Seconds; follows from paymentSchedule when absent\"},"
    "\"securityDeposit\":" AMOUNT "},\"additionalProperties\":false},\"legalDocumentHash\":" HASH
    ",\"metadata\":" OBJECT
    ",\"termsVersion\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535},\"deadline\":{"
    "\"type\":\"string\",\"format\":\"date-time\","
    "\"description\":\"Last moment at which the lease may be minted\"}},"
    "\"additionalProperties\":false}";

const char leasing_schema_lease[] = LEASE;

const char leasing_schema_lease_list[] = "{\"type\":\"array\",\"items\":" LEASE "}";

const char leasing_schema_digest[] =
    "{\"type\":\"object\",\"required\":[\"leaseId\",\"lessorAddress\",\"lesseeAddress\","
    "\"deadline\",\"digest\",\"structHash\",\"typedData\"],\"properties\":{\"leaseId\":" TEXT
    ",\"lessorAddress\":" ADDRESS ",\"lesseeAddress\":" ADDRESS ",\"deadline\":" TIME
    ",\"digest\":{\"type\":\"string\",\"pattern\":\"^0x[0-9a-f]{64}$\","
    "\"description\":\"Sign these 32 bytes themselves: the type string is not standard EIP-712\"}"
    ",\"structHash\":" HASH
    ",\"typedData\":{\"type\":\"object\",\"required\":[\"domain\",\"primaryType\","
    "\"typeStrings\",\"message\"],\"properties\":{\"domain\":" OBJECT ",\"primaryType\":" TEXT
    ",\"typeStrings\":" OBJECT ",\"message\":" OBJECT "}}}}";

const char leasing_schema_sign_body[] =
    "{\"type\":\"object\",\"required\":[\"signature\",\"signerType\"],\"properties\":{"
    "\"signature\":{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{130}$\","
    "\"description\":\"r, s and v (27 or 28), 65 bytes\"},\"signerType\":{\"enum\":["
    "\"lessor\",\"lessee\"]},\"domain\":{\"type\":\"object\",\"required\":[],\"properties\":{"
    "\"name\":" TEXT ",\"version\":" TEXT ",\"chainId\":" INTEGER ",\"verifyingContract\":" ADDRESS
    "},\"additionalProperties\":false}},\"additionalProperties\":false}";

const char leasing_schema_terminate_body[] =
    "{\"type\":\"object\",\"required\":[\"signature\",\"signerType\",\"reason\"],"
    "\"properties\":{\"signature\":{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{130}$\","
    "\"description\":\"personal_sign of: Terminate lease <leaseId> on chain <chainId> at <lease "
    "factory>\"}"
    ",\"signerType\":{\"enum\":[\"lessor\",\"lessee\"]},\"reason\":{\"type\":\"string\","
    "\"minLength\":1,\"maxLength\":500}},\"additionalProperties\":false}";

const char leasing_schema_bid_body[] =
    "{\"type\":\"object\",\"required\":[\"bidder\",\"funds\",\"signature\"],\"properties\":{"
    "\"bidder\":" ADDRESS ",\"funds\":" AMOUNT
    ",\"signature\":{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{130}$\","
    "\"description\":\"r, s and v (27 or 28), 65 bytes\"}},\"additionalProperties\":false}";

const char leasing_schema_bid[] =
    "{\"type\":\"object\",\"required\":[\"requestId\",\"leaseId\",\"offerId\",\"bidder\","
    "\"funds\",\"status\",\"bidIndex\",\"approveTransactionId\",\"transaction\","
    "\"transactionRequests\"],\"properties\":{\"requestId\":" TEXT ",\"leaseId\":" TEXT
    ",\"offerId\":" AMOUNT ",\"bidder\":" ADDRESS ",\"funds\":" AMOUNT
    ",\"status\":{\"enum\":[\"unsent\",\"pending\",\"failed\",\"active\"]},"
    "\"bidIndex\":" AMOUNT_OR_NULL ",\"approveTransactionId\":" TEXT_OR_NULL
    ",\"transaction\":" TRANSACTION
    ",\"transactionRequests\":{\"type\":\"array\",\"items\":" REQUEST "}}}";

const char leasing_schema_bid_list[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"bidIndex\",\"bidder\","
    "\"funds\",\"status\",\"signatureValid\"],\"properties\":{\"bidIndex\":" AMOUNT_OR_NULL
    ",\"requestId\":" TEXT ",\"bidder\":" ADDRESS ",\"funds\":" AMOUNT
    ",\"status\":{\"enum\":[\"active\",\"accepted\",\"refunded\",\"withdrawn\",\"unsent\","
    "\"pending\",\"failed\"]},\"blockNumber\":" INTEGER ",\"transactionHash\":" HASH
    ",\"signatureValid\":{\"type\":[\"boolean\",\"null\"]},\"signatureDetail\":" TEXT_OR_NULL
    ",\"signatureCheckedAt\":" TIME_OR_NULL ",\"createdAt\":" TIME ",\"transaction\":" TRANSACTION
    "}}}";

const char leasing_schema_accept_body[] =
    "{\"type\":\"object\",\"required\":[\"signature\"],\"properties\":{\"signature\":{"
    "\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{130}$\",\"description\":\"r,"
    " s and v (27 or 28), 65 bytes\"}},\"additionalProperties\":false}";

const char leasing_schema_withdrawal[] =
    "{\"type\":\"object\",\"required\":[\"leaseId\",\"offerId\",\"bidIndex\",\"bidder\","
    "\"funds\",\"status\",\"transaction\",\"transactionRequest\"],\"properties\":{\"leaseId\":" TEXT
    ",\"offerId\":" AMOUNT ",\"bidIndex\":" AMOUNT ",\"bidder\":" ADDRESS ",\"funds\":" AMOUNT
    ",\"status\":{\"enum\":[\"active\",\"accepted\",\"refunded\",\"withdrawn\"]},"
    "\"transaction\":{\"type\":[\"object\",\"null\"]},\"transactionRequest\":" REQUEST "}}";

const char leasing_schema_offer_list[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"offerId\","
    "\"lessorAddress\",\"onChainAssetId\",\"status\",\"blockNumber\",\"transactionHash\","
    "\"assetId\",\"leaseId\",\"bidCount\"],\"properties\":{\"offerId\":" AMOUNT
    ",\"lessorAddress\":" ADDRESS ",\"onChainAssetId\":" AMOUNT
    ",\"status\":{\"enum\":[\"active\",\"accepted\",\"cancelled\"]},\"blockNumber\":" INTEGER
    ",\"transactionHash\":" HASH ",\"assetId\":" TEXT_OR_NULL ",\"leaseId\":" TEXT_OR_NULL
    ",\"bidCount\":" INTEGER "}}}";

const char leasing_schema_quote[] =
    "{\"type\":\"object\",\"required\":[\"scheme\",\"network\",\"asset\","
    "\"maxAmountRequired\",\"payTo\",\"resource\",\"description\",\"extra\",\"version\","
    "\"chainId\"],\"properties\":{\"scheme\":{\"enum\":[\"exact\"]},\"network\":" TEXT
    ",\"asset\":" ADDRESS ",\"maxAmountRequired\":" AMOUNT ",\"payTo\":" ADDRESS
    ",\"resource\":" TEXT ",\"description\":" TEXT
    ",\"extra\":{\"type\":\"object\",\"required\":[\"decimals\",\"verifyOptimistically\","
    "\"paymentMode\",\"intervalSeconds\",\"hourlyAmount\",\"stepsPerHour\",\"extraSteps\"],"
    "\"properties\":{\"decimals\":" INTEGER ",\"verifyOptimistically\":" BOOL
    ",\"paymentMode\":{\"enum\":[\"second\",\"batch-5s\"]},\"intervalSeconds\":" INTEGER
    ",\"hourlyAmount\":" AMOUNT ",\"stepsPerHour\":" INTEGER ",\"extraSteps\":" INTEGER
    "}},\"version\":{\"enum\":[2]},\"chainId\":" TEXT
    ",\"paymentRequired\":{\"type\":[\"object\",\"null\"],\"description\":"
    "\"The x402 offer of the next step, null where none is sold now.\"}}}";

const char leasing_schema_access[] =
    "{\"type\":\"object\",\"required\":[\"leaseId\",\"assetId\",\"mode\","
    "\"intervalSeconds\",\"amount\",\"payTo\",\"grantedFrom\",\"grantedUntil\"],"
    "\"properties\":{\"leaseId\":" TEXT ",\"assetId\":" TEXT
    ",\"mode\":{\"enum\":[\"second\",\"batch-5s\"]},\"intervalSeconds\":" INTEGER
    ",\"amount\":" AMOUNT ",\"payTo\":" ADDRESS ",\"grantedFrom\":" TIME ",\"grantedUntil\":" TIME
    "}}";

const char leasing_schema_access_payments[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"mode\","
    "\"intervalSeconds\",\"amount\",\"payer\",\"transactionHash\",\"bucketSlot\","
    "\"paidAt\"],\"properties\":{\"mode\":{\"enum\":[\"second\",\"batch-5s\"]},"
    "\"intervalSeconds\":" INTEGER ",\"amount\":" AMOUNT ",\"payer\":" ADDRESS
    ",\"transactionHash\":" HASH ",\"bucketSlot\":" TIME ",\"paidAt\":" TIME "}}}";

const char leasing_schema_access_hours[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"hourBucket\","
    "\"totalAmount\",\"paymentCount\",\"startedAt\",\"updatedAt\"],\"properties\":{"
    "\"hourBucket\":" TIME ",\"totalAmount\":" AMOUNT ",\"paymentCount\":" INTEGER
    ",\"startedAt\":" TIME ",\"updatedAt\":" TIME "}}}";

const char leasing_schema_round[] = ROUND;

const char leasing_schema_round_list[] = "{\"type\":\"array\",\"items\":" ROUND "}";
