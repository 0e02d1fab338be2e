// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev What never changes about a channel; its EIP-712 digest is the channel's id. Vouchers are
/// signed by `payerAuthorizer`, or by `payer` itself, who may be a contract, where that is zero.
struct ChannelConfig {
    address payer;
    address payerAuthorizer;
    address receiver;
    address receiverAuthorizer;
    address token;
    uint40 withdrawDelay; // seconds
    bytes32 salt;
}

/// @dev What the payer lets be claimed: a running total, not a difference.
struct Voucher {
    ChannelConfig channel;
    uint128 maxClaimableAmount;
}

/// @dev A voucher, and up to where the receiver claims it: the running total that it charged.
struct VoucherClaim {
    Voucher voucher;
    bytes signature;
    uint128 totalClaimed;
}
