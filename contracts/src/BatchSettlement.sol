// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from
    "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {ChannelConfig, VoucherClaim} from "./ChannelTypes.sol";
import {IDepositCollector} from "./IDepositCollector.sol";

/// @title Payment channels in one direction, claimed in batches (x402 "batch-settlement")
/// @notice A payer deposits once and signs a running total for every request. The receiver claims
/// the latest totals of many channels in one transaction, which only books, and has what was claimed
/// paid out in one transfer. Functions, events, errors and signed types are those that the x402
/// packages speak. There is no owner and no upgrade.
///
/// Books. Of a channel, `balance` is what was deposited less what went back to the payer, and
/// `totalClaimed` is the part of it that is the receiver's; the rest is the payer's. For every token
/// the contract holds at least
///   sum over channels (balance - totalClaimed) + sum over receivers (totalClaimed - totalSettled)
/// and exactly that if nobody sent it units past `deposit`; those have no owner and stay.
///
/// Claims are totals, so an old voucher claimed again changes nothing, and the order of two claims
/// does not matter. A claim never exceeds what the payer signed nor what the channel holds.
///
/// Leaving. The receiver's side may give back what is not claimed at any time. A payer who is left
/// alone starts a withdrawal, waits `withdrawDelay` and takes what is not claimed by then: a receiver
/// must claim within the delay. The vouchers of a channel that was emptied remain valid up to its
/// balance: who deposits into it again pays what was signed before.
///
/// Tokens must move exactly what is asked: a deposit of which less arrives is refused, coins whose
/// balances change by themselves are not supported. A token that misbehaves harms its own channels
/// only.
contract BatchSettlement is EIP712, Multicall, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct ChannelState {
        uint128 balance;
        uint128 totalClaimed;
    }

    struct WithdrawalState {
        uint128 amount;
        uint40 initiatedAt; // zero: none is pending
    }

    struct ReceiverState {
        uint128 totalClaimed;
        uint128 totalSettled;
    }

    uint40 public constant MIN_WITHDRAW_DELAY = 15 minutes;
    uint40 public constant MAX_WITHDRAW_DELAY = 30 days;

    bytes32 public constant CHANNEL_CONFIG_TYPEHASH = keccak256(
        "ChannelConfig(address payer,address payerAuthorizer,address receiver,"
        "address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
    );
    bytes32 public constant VOUCHER_TYPEHASH =
        keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
    bytes32 public constant REFUND_TYPEHASH =
        keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
    bytes32 public constant CLAIM_ENTRY_TYPEHASH = keccak256(
        "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
    );
    bytes32 public constant CLAIM_BATCH_TYPEHASH = keccak256(
        "ClaimBatch(ClaimEntry[] claims)"
        "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
    );

    mapping(bytes32 channelId => ChannelState) public channels;

    /// @notice The nonce of the next refund of a channel, signed or not.
    mapping(bytes32 channelId => uint256) public refundNonce;

    mapping(bytes32 channelId => WithdrawalState) public pendingWithdrawals;
    mapping(address receiver => mapping(address token => ReceiverState)) public receivers;

    /// @notice A channel that held nothing and of which nothing was ever claimed got a deposit.
    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);

    /// @notice All of a channel of which nothing was ever claimed went back. It may be used again.
    event ChannelClosed(bytes32 indexed channelId, ChannelConfig config);

    event Deposited(
        bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance
    );
    event Claimed(
        bytes32 indexed channelId,
        address indexed sender,
        uint128 claimAmount,
        uint128 newTotalClaimed
    );
    event Settled(
        address indexed receiver, address indexed token, address indexed sender, uint128 amount
    );
    event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount);
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

    error InvalidChannel();
    error ZeroDeposit();
    error DepositOverflow();
    error InvalidSignature();
    error NotReceiverAuthorizer();
    error NotAuthorizedToClaim();
    error NotAuthorizedToRefund();
    error ClaimExceedsCeiling();
    error ClaimExceedsBalance();
    error WithdrawalAlreadyPending();
    error WithdrawalNotPending();
    error NotAuthorizedToFinalizeWithdraw();
    error WithdrawDelayNotElapsed();
    error NothingToWithdraw();
    error WithdrawAmountExceedsAvailable();
    error WithdrawDelayOutOfRange();
    error EmptyBatch();
    error DepositCollectionFailed();
    error InvalidCollector();
    error InvalidRefundNonce();
    error ZeroRefund();

    constructor() EIP712("x402 Batch Settlement", "1") {}

    /// @notice Puts units of the payer into a channel, which begins to exist by its first deposit.
    /// Anybody may send it: the collector proves that the payer wants it.
    function deposit(
        ChannelConfig calldata config,
        uint128 amount,
        address collector,
        bytes calldata collectorData
    ) external nonReentrant {
        require(
            config.payer != address(0) && config.receiver != address(0)
                && config.receiverAuthorizer != address(0) && config.token != address(0),
            InvalidChannel()
        );
        require(
            config.withdrawDelay >= MIN_WITHDRAW_DELAY && config.withdrawDelay <= MAX_WITHDRAW_DELAY,
            WithdrawDelayOutOfRange()
        );
        require(amount > 0, ZeroDeposit());
        require(collector != address(0), InvalidCollector());

        bytes32 channelId = getChannelId(config);
        ChannelState storage channel = channels[channelId];
        uint128 balance = channel.balance;
        require(amount <= type(uint128).max - balance, DepositOverflow());

        uint256 held = IERC20(config.token).balanceOf(address(this));
        IDepositCollector(collector).collect(
            config.payer, config.token, amount, channelId, collectorData
        );
        require(
            IERC20(config.token).balanceOf(address(this)) == held + amount,
            DepositCollectionFailed()
        );

        channel.balance = balance + amount;
        if (balance == 0 && channel.totalClaimed == 0) {
            emit ChannelCreated(channelId, config);
        }
        emit Deposited(channelId, msg.sender, amount, balance + amount);
    }

    /// @notice Books what the caller, who is of the receiver's side of every row, charged.
    function claim(VoucherClaim[] calldata voucherClaims) external nonReentrant {
        require(voucherClaims.length > 0, EmptyBatch());
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            require(_isReceiverSide(voucherClaims[i].voucher.channel), NotAuthorizedToClaim());
            _claim(voucherClaims[i]);
        }
    }

    /// @notice Books what the receivers charged by one signature of the authorizer whom all rows
    /// have in common. Anybody may send it.
    function claimWithSignature(
        VoucherClaim[] calldata voucherClaims,
        bytes calldata authorizerSignature
    ) external nonReentrant {
        require(voucherClaims.length > 0, EmptyBatch());
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        _requireSigned(authorizer, getClaimBatchDigest(voucherClaims), authorizerSignature);
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            require(
                voucherClaims[i].voucher.channel.receiverAuthorizer == authorizer,
                NotReceiverAuthorizer()
            );
            _claim(voucherClaims[i]);
        }
    }

    /// @notice Pays a receiver what has been claimed in all its channels of a token and not been
    /// paid yet. Anybody may send it; does nothing if there is nothing.
    function settle(address receiver, address token) external nonReentrant {
        ReceiverState storage state = receivers[receiver][token];
        uint128 amount = state.totalClaimed - state.totalSettled;
        if (amount == 0) {
            return;
        }
        state.totalSettled = state.totalClaimed;
        emit Settled(receiver, token, msg.sender, amount);
        IERC20(token).safeTransfer(receiver, amount);
    }

    /// @notice Starts the delay after which the payer's side may take `amount` out.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount)
        external
        nonReentrant
    {
        require(_isPayerSide(config), InvalidChannel());
        require(amount > 0, NothingToWithdraw());
        bytes32 channelId = getChannelId(config);
        WithdrawalState storage withdrawal = pendingWithdrawals[channelId];
        require(withdrawal.initiatedAt == 0, WithdrawalAlreadyPending());
        require(amount <= _unclaimed(channels[channelId]), WithdrawAmountExceedsAvailable());

        withdrawal.amount = amount;
        withdrawal.initiatedAt = uint40(block.timestamp);
        emit WithdrawInitiated(channelId, amount, uint40(block.timestamp) + config.withdrawDelay);
    }

    /// @notice Ends a withdrawal after its delay, with what is left of it: nothing, if all has been
    /// claimed meanwhile.
    function finalizeWithdraw(ChannelConfig calldata config) external nonReentrant {
        require(_isPayerSide(config), NotAuthorizedToFinalizeWithdraw());
        bytes32 channelId = getChannelId(config);
        WithdrawalState memory withdrawal = pendingWithdrawals[channelId];
        require(withdrawal.initiatedAt != 0, WithdrawalNotPending());
        require(
            block.timestamp >= uint256(withdrawal.initiatedAt) + config.withdrawDelay,
            WithdrawDelayNotElapsed()
        );
        delete pendingWithdrawals[channelId];

        uint128 available = _unclaimed(channels[channelId]);
        uint128 amount = withdrawal.amount < available ? withdrawal.amount : available;
        emit WithdrawFinalized(channelId, msg.sender, amount);
        _giveBack(channelId, config, amount);
    }

    /// @notice Gives the payer back up to `amount` of what is not claimed.
    function refund(ChannelConfig calldata config, uint128 amount) external nonReentrant {
        require(_isReceiverSide(config), NotAuthorizedToRefund());
        _refund(getChannelId(config), config, amount);
    }

    /// @notice The same by a signature of the receiver's authorizer; anybody may send it.
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external nonReentrant {
        bytes32 channelId = getChannelId(config);
        require(nonce == refundNonce[channelId], InvalidRefundNonce());
        _requireSigned(
            config.receiverAuthorizer,
            getRefundDigest(channelId, nonce, amount),
            receiverAuthorizerSignature
        );
        _refund(channelId, config, amount);
    }

    /// @notice The id of a channel: chain, contract and config decide it.
    function getChannelId(ChannelConfig calldata config) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CHANNEL_CONFIG_TYPEHASH, config)));
    }

    /// @notice What a payer signs for a request.
    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(
            keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, maxClaimableAmount))
        );
    }

    /// @notice What a receiver's authorizer signs for a refund.
    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(REFUND_TYPEHASH, channelId, nonce, amount)));
    }

    /// @notice What a receiver's authorizer signs for a batch of claims.
    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims)
        public
        view
        returns (bytes32)
    {
        bytes32[] memory entries = new bytes32[](voucherClaims.length);
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            VoucherClaim calldata row = voucherClaims[i];
            entries[i] = keccak256(
                abi.encode(
                    CLAIM_ENTRY_TYPEHASH,
                    getChannelId(row.voucher.channel),
                    row.voucher.maxClaimableAmount,
                    row.totalClaimed
                )
            );
        }
        return _hashTypedDataV4(
            keccak256(abi.encode(CLAIM_BATCH_TYPEHASH, keccak256(abi.encodePacked(entries))))
        );
    }

    function _claim(VoucherClaim calldata row) private {
        ChannelConfig calldata config = row.voucher.channel;
        bytes32 channelId = getChannelId(config);
        ChannelState storage channel = channels[channelId];
        uint128 claimed = channel.totalClaimed;
        if (row.totalClaimed <= claimed) {
            return; // was claimed already, or more was
        }
        require(row.totalClaimed <= row.voucher.maxClaimableAmount, ClaimExceedsCeiling());
        require(row.totalClaimed <= channel.balance, ClaimExceedsBalance());
        _requireVoucher(
            config, getVoucherDigest(channelId, row.voucher.maxClaimableAmount), row.signature
        );

        channel.totalClaimed = row.totalClaimed;
        receivers[config.receiver][config.token].totalClaimed += row.totalClaimed - claimed;
        emit Claimed(channelId, msg.sender, row.totalClaimed - claimed, row.totalClaimed);
    }

    function _refund(bytes32 channelId, ChannelConfig calldata config, uint128 amount) private {
        require(amount > 0, ZeroRefund());
        // First, also for a refund of nothing: a signature is used up by being carried out.
        ++refundNonce[channelId];
        uint128 available = _unclaimed(channels[channelId]);
        if (amount > available) {
            amount = available;
        }
        if (amount == 0) {
            return;
        }
        WithdrawalState storage withdrawal = pendingWithdrawals[channelId];
        if (withdrawal.initiatedAt != 0) {
            if (amount >= withdrawal.amount) {
                delete pendingWithdrawals[channelId];
            } else {
                withdrawal.amount -= amount;
            }
        }
        emit Refunded(channelId, msg.sender, amount);
        _giveBack(channelId, config, amount);
    }

    /// @dev Pays the payer out of what is not claimed.
    function _giveBack(bytes32 channelId, ChannelConfig calldata config, uint128 amount) private {
        if (amount == 0) {
            return;
        }
        ChannelState storage channel = channels[channelId];
        channel.balance -= amount;
        if (channel.balance == 0) {
            emit ChannelClosed(channelId, config);
        }
        IERC20(config.token).safeTransfer(config.payer, amount);
    }

    function _unclaimed(ChannelState storage channel) private view returns (uint128) {
        return channel.balance - channel.totalClaimed;
    }

    function _isReceiverSide(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.receiver || msg.sender == config.receiverAuthorizer;
    }

    function _isPayerSide(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.payer || msg.sender == config.payerAuthorizer;
    }

    function _requireVoucher(
        ChannelConfig calldata config,
        bytes32 digest,
        bytes calldata signature
    ) private view {
        if (config.payerAuthorizer == address(0)) {
            _requireSigned(config.payer, digest, signature);
            return;
        }
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(digest, signature);
        require(
            failure == ECDSA.RecoverError.NoError && signer == config.payerAuthorizer,
            InvalidSignature()
        );
    }

    function _requireSigned(address signer, bytes32 digest, bytes calldata signature)
        private
        view
    {
        require(
            SignatureChecker.isValidSignatureNow(signer, digest, signature), InvalidSignature()
        );
    }
}
