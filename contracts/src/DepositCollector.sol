// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IDepositCollector} from "./IDepositCollector.sol";

/// @dev What a token must have (EIP-3009, with packed signatures as in USDC 2.2).
interface IReceivesWithAuthorization {
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
}

/// @title Deposits by EIP-3009: the payer signs, anybody pays the gas
/// @notice The payer authorizes this contract to receive the units, under a nonce that is the hash
/// of the channel's id and a salt: so the signature names the channel too, and serves no other.
/// Only the escrow that ids are made for may ask, or whoever saw the signature could name itself as
/// the escrow and be sent the units.
contract DepositCollector is IDepositCollector {
    using SafeERC20 for IERC20;

    /// @notice The escrow that deposits go to.
    address public immutable settlement;

    error OnlySettlement();

    constructor(address settlement_) {
        settlement = settlement_;
    }

    /// @inheritdoc IDepositCollector
    /// @dev `collectorData` encodes validAfter, validBefore, salt and the signature.
    function collect(
        address payer,
        address token,
        uint256 amount,
        bytes32 channelId,
        bytes calldata collectorData
    ) external {
        require(msg.sender == settlement, OnlySettlement());
        (uint256 validAfter, uint256 validBefore, uint256 salt, bytes memory signature) =
            abi.decode(collectorData, (uint256, uint256, uint256, bytes));
        IReceivesWithAuthorization(token).receiveWithAuthorization(
            payer,
            address(this),
            amount,
            validAfter,
            validBefore,
            keccak256(abi.encode(channelId, salt)),
            signature
        );
        IERC20(token).safeTransfer(settlement, amount);
    }
}
