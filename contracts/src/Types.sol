// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Shared structs of the leasing contracts. Field order is part of the ABI: append nothing, reorder
// nothing; a new fact about an object gets a new mapping in the contract that owns it.

/// One key-value pair of descriptive text.
struct Metadata {
    string key;
    string value;
}

/// A class of assets. A type exists, for registration, once its name is not empty.
struct AssetType {
    string name;
    bytes32[] requiredLeaseKeys;
}

/// A registered asset. `issuer` is the registrar that registered it.
struct Asset {
    bytes32 assetType;
    address issuer;
    address tokenAddress;
}

/// The terms of a lease. Amounts are in the smallest unit of `paymentToken`, times in Unix seconds.
/// `metadata` is not covered by the parties' signatures.
struct Lease {
    address lessor;
    address lessee;
    uint256 assetId;
    address paymentToken;
    uint256 rentAmount;
    uint256 rentPeriod;
    uint256 securityDeposit;
    uint64 startTime;
    uint64 endTime;
    bytes32 legalDocHash;
    uint16 termsVersion;
    Metadata[] metadata;
}

/// What both parties sign: a lease, and the last second at which it may be minted.
struct LeaseIntent {
    uint64 deadline;
    bytes32 assetType;
    Lease lease;
}

/// Asset tokens for sale. The tokens stay with the seller until a bid is accepted.
struct Sale {
    address seller;
    address assetToken;
    uint256 amount;
    uint256 askPricePerUnit;
    bool active;
}

/// A bid on a sale. `funds` stablecoin units are in escrow while it is active.
struct SaleBid {
    address bidder;
    uint256 amount;
    uint256 pricePerUnit;
    uint256 funds;
    bool active;
}

/// A lease on offer. The lessee named in `terms` is replaced by the bidder whose bid is accepted.
struct LeaseOffer {
    address lessor;
    LeaseIntent terms;
    bool active;
}

/// A bid on a lease offer. `funds` stablecoin units are in escrow while it is active.
struct LeaseBid {
    address bidder;
    bytes sigLessee;
    uint256 funds;
    bool active;
}

/// What has become of the digest of a lease intent.
enum IntentState {
    Open,
    Minted,
    Cancelled
}
