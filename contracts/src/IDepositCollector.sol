// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title How the units of a deposit come to the escrow
interface IDepositCollector {
    /// @notice Moves exactly `amount` of `token` from `payer` to the calling escrow, or reverts.
    /// `collectorData` is whatever the payer signed for it.
    function collect(
        address payer,
        address token,
        uint256 amount,
        bytes32 channelId,
        bytes calldata collectorData
    ) external;
}
