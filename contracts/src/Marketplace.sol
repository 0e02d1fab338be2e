// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Panic} from "@openzeppelin/contracts/utils/Panic.sol";
import {ReentrancyGuardTransient} from
    "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {AssetERC20} from "./AssetERC20.sol";
import {BaseUpgradable} from "./BaseUpgradable.sol";
import {LeaseFactory} from "./LeaseFactory.sol";
import {TokenTransfer} from "./TokenTransfer.sol";
import {IntentState, LeaseBid, LeaseIntent, LeaseOffer, Sale, SaleBid} from "./Types.sol";

/// @title Sales of asset tokens, offers of leases, and the revenue of asset holders
/// @notice Bids are escrowed here in one stablecoin. Sale, offer and bid ids start at 0.
///
/// Escrow. The contract always holds at least the funds of all active bids plus all `claims` plus
/// all `refunds`. The stablecoin must move exactly the amount asked for: coins that charge a fee on
/// transfer or change balances by themselves are not supported.
///
/// Refunds. Closing an offer or a sale, or accepting a sale bid, pays the other active bids back,
/// in index order, among the first SWEEP_LIMIT bids; nobody can make closing too expensive by
/// placing bids. Bids beyond that stay active and are paid back by `withdrawLeaseBid` or
/// `withdrawSaleBid`. A refund that the stablecoin refuses (a blocked account) is credited to
/// `refunds` instead, and blocks nobody else.
///
/// Withdrawal. A sale bid binds nobody: its bidder may withdraw it at any time. A lease bid carries
/// the bidder's signature, so it binds while that signature could still mint the lease: up to the
/// deadline of the offer, unless the offer is closed or the intent is dead before. A bidder free to
/// leave could take the lessor's signature out of a pending acceptance, mint the lease directly at
/// the factory and withdraw the payment. Who wants to leave early kills the signature first, by the
/// factory's `cancelIntent`. A bid whose lease has been minted directly is not withdrawable while
/// the offer is open, but can be accepted, even after the deadline. A lease is paid for once
/// (`leasePaid`), however many offers carried the same terms.
///
/// Revenue. Accepting a lease bid shares its funds F among the holders of the asset's token at that
/// moment. Tokens that this contract itself holds count for nothing: with S = totalSupply less the
/// contract's own balance, a holder of balance B is credited floor(B * F / S). The remainder, F
/// less the sum of these shares, is credited to the holder with the largest balance, and among
/// equals to the one with the numerically smallest address. S = 0 reverts with panic 0x12.
/// Acceptance visits every holder, at up to 30,000 gas each: a token spread over more accounts than
/// fit a block (about 900 at 30 million gas) cannot be leased through this contract.
contract Marketplace is BaseUpgradable, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using TokenTransfer for IERC20;

    /// @notice How many bids of an offer or sale are looked at when the others are refunded.
    uint256 public constant SWEEP_LIMIT = 128;

    /// @notice The coin of all bids, claims and refunds.
    IERC20 public stable;

    /// @notice The factory that accepted leases are minted by.
    LeaseFactory public leaseFactory;

    /// @notice The id of the next sale.
    uint256 public nextSaleId;

    /// @notice The id of the next lease offer.
    uint256 public nextLeaseOfferId;

    mapping(uint256 saleId => Sale) public sales;
    mapping(uint256 saleId => SaleBid[]) public saleBids;
    mapping(uint256 offerId => LeaseOffer) public leaseOffers;
    mapping(uint256 offerId => LeaseBid[]) public leaseBids;

    /// @notice Revenue that an account may claim.
    mapping(address account => uint256) public claims;

    /// @notice Refunds that the stablecoin refused, by bidder.
    mapping(address bidder => uint256) public refunds;

    /// @notice Whether a bid was accepted for a lease.
    mapping(uint256 leaseTokenId => bool) public leasePaid;

    event SalePosted(
        uint256 indexed saleId,
        address indexed seller,
        address assetToken,
        uint256 amount,
        uint256 askPricePerUnit
    );
    event SaleBidPlaced(
        uint256 indexed saleId,
        uint256 indexed bidIndex,
        address indexed bidder,
        uint256 amount,
        uint256 pricePerUnit,
        uint256 funds
    );
    event SaleBidAccepted(uint256 indexed saleId, uint256 indexed bidIndex, address bidder);

    /// @notice A bid was closed and its funds paid back, or credited if RefundCredited precedes.
    event SaleBidRefunded(
        uint256 indexed saleId, uint256 indexed bidIndex, address bidder, uint256 amount
    );
    event LeaseOfferPosted(uint256 indexed offerId, address indexed lessor, uint256 assetId);
    event LeaseBidPlaced(
        uint256 indexed offerId, uint256 indexed bidIndex, address indexed bidder, uint256 funds
    );
    event LeaseAccepted(
        uint256 indexed offerId,
        uint256 indexed bidIndex,
        address indexed lessee,
        uint256 leaseTokenId
    );
    event RevenueClaimed(address indexed account, uint256 share);

    /// @notice The seller took the sale back.
    event SaleCancelled(uint256 indexed saleId);

    /// @notice A bid was withdrawn and its funds paid back.
    event SaleBidWithdrawn(
        uint256 indexed saleId, uint256 indexed bidIndex, address indexed bidder, uint256 funds
    );

    /// @notice The lessor took the offer back.
    event LeaseOfferCancelled(uint256 indexed offerId);

    /// @notice A bid was withdrawn and its funds paid back.
    event LeaseBidWithdrawn(
        uint256 indexed offerId, uint256 indexed bidIndex, address indexed bidder, uint256 funds
    );

    /// @notice A bid was closed and its funds paid back, or credited if RefundCredited precedes.
    event LeaseBidRefunded(
        uint256 indexed offerId, uint256 indexed bidIndex, address indexed bidder, uint256 funds
    );

    /// @notice `funds` were shared over `supply` tokens outside this contract; the RevenueCredited
    /// events that follow add up to `funds`. `remainder` is contained in what `remainderTo` is
    /// credited.
    event RevenueShared(
        uint256 indexed leaseTokenId,
        address indexed assetToken,
        uint256 funds,
        uint256 supply,
        address remainderTo,
        uint256 remainder
    );

    /// @notice `amount` above zero was added to the claims of `account`.
    event RevenueCredited(uint256 indexed leaseTokenId, address indexed account, uint256 amount);

    /// @notice The stablecoin refused a refund; it was added to the bidder's `refunds`.
    event RefundCredited(address indexed bidder, uint256 amount);

    /// @notice Credited refunds were paid out.
    event RefundClaimed(address indexed bidder, uint256 amount);

    /// @notice Sets the proxy up. No argument is checked for zero. `leaseFactory_` must be a
    /// factory that has `intentState`.
    function initialize(address admin, address upgrader, address stablecoin, address leaseFactory_)
        external
        initializer
    {
        __BaseUpgradable_init(admin, upgrader);
        stable = IERC20(stablecoin);
        leaseFactory = LeaseFactory(leaseFactory_);
    }

    // ------------------------------------------------------------------------------------- sales

    /// @notice Offers tokens for sale. They are not escrowed: acceptance pulls them from the
    /// seller, who must have approved this contract by then. The ask price binds nobody.
    function postSale(address assetToken, uint256 amount, uint256 askPricePerUnit)
        external
        returns (uint256 saleId)
    {
        require(amount > 0, "amount=0");
        saleId = nextSaleId++;
        sales[saleId] = Sale(msg.sender, assetToken, amount, askPricePerUnit, true);
        emit SalePosted(saleId, msg.sender, assetToken, amount, askPricePerUnit);
    }

    /// @notice Bids for `amount` token units at `pricePerUnit` stablecoin units per whole token of
    /// 1e18 units, and escrows the cost, rounded down.
    function placeSaleBid(uint256 saleId, uint256 amount, uint256 pricePerUnit)
        external
        nonReentrant
        returns (uint256 bidIndex)
    {
        Sale storage sale = sales[saleId];
        require(sale.active, "sale !active");
        require(amount > 0 && amount <= sale.amount, "bad amount");
        uint256 funds = amount * pricePerUnit / 1e18;

        bidIndex = saleBids[saleId].length;
        saleBids[saleId].push(SaleBid(msg.sender, amount, pricePerUnit, funds, true));
        stable.pull(msg.sender, address(this), funds, "fund xfer fail");
        emit SaleBidPlaced(saleId, bidIndex, msg.sender, amount, pricePerUnit, funds);
    }

    /// @notice Sells to one bidder: moves the tokens, pays the seller, refunds the other bids. What
    /// is left of the sale stays open. Only the seller.
    function acceptSaleBid(uint256 saleId, uint256 bidIndex) external nonReentrant {
        Sale storage sale = sales[saleId];
        require(sale.active, "sale !active");
        require(sale.seller == msg.sender, "not seller");
        SaleBid storage bid = saleBids[saleId][bidIndex];
        require(bid.active, "bid !active");
        uint256 amount = bid.amount;
        require(amount <= sale.amount, "exceeds sale amount");

        bid.active = false;
        sale.amount -= amount;
        if (sale.amount == 0) {
            sale.active = false;
        }
        address bidder = bid.bidder;
        IERC20(sale.assetToken).pull(msg.sender, bidder, amount, "asset transfer fail");
        stable.push(msg.sender, bid.funds, "pay seller fail");
        emit SaleBidAccepted(saleId, bidIndex, bidder);
        _refundSaleBids(saleId);
    }

    /// @notice Closes a sale and refunds its bids. Only the seller.
    function cancelSale(uint256 saleId) external nonReentrant {
        Sale storage sale = sales[saleId];
        require(sale.active, "sale !active");
        require(sale.seller == msg.sender, "not seller");
        sale.active = false;
        emit SaleCancelled(saleId);
        _refundSaleBids(saleId);
    }

    /// @notice Pays an active bid back to its bidder: called by the bidder at any time, or by
    /// anybody once the sale is closed.
    function withdrawSaleBid(uint256 saleId, uint256 bidIndex) external nonReentrant {
        SaleBid storage bid = saleBids[saleId][bidIndex];
        require(bid.active, "bid !active");
        address bidder = bid.bidder;
        require(bidder == msg.sender || !sales[saleId].active, "not bidder");

        bid.active = false;
        uint256 funds = bid.funds;
        stable.push(bidder, funds, "refund fail");
        emit SaleBidWithdrawn(saleId, bidIndex, bidder, funds);
    }

    // ------------------------------------------------------------------------------------ leases

    /// @notice Offers a lease. Only the lessor it names, only for rent in the stablecoin; nothing
    /// else of the terms is checked before a bid is accepted.
    function postLeaseOffer(LeaseIntent calldata L) external returns (uint256 offerId) {
        require(L.lease.lessor == msg.sender, "not lessor");
        require(L.lease.paymentToken == address(stable), "must pay in stable");
        offerId = nextLeaseOfferId++;
        LeaseOffer storage offer = leaseOffers[offerId];
        offer.lessor = msg.sender;
        offer.terms = L;
        offer.active = true;
        emit LeaseOfferPosted(offerId, msg.sender, L.lease.assetId);
    }

    /// @notice Bids on an offer and escrows `funds`. `sigLessee` signs the offered terms with the
    /// caller as lessee, and is verified at acceptance. Terms that have already been minted or
    /// cancelled for this caller are refused.
    function placeLeaseBid(uint256 offerId, bytes calldata sigLessee, uint256 funds)
        external
        nonReentrant
        returns (uint256 bidIndex)
    {
        LeaseOffer storage offer = leaseOffers[offerId];
        require(offer.active, "offer !active");
        require(funds > 0, "funds=0");
        (IntentState state,) = _intentState(_termsFor(offer, msg.sender));
        require(state == IntentState.Open, "intent used");

        bidIndex = leaseBids[offerId].length;
        leaseBids[offerId].push(LeaseBid(msg.sender, sigLessee, funds, true));
        stable.pull(msg.sender, address(this), funds, "fund xfer fail");
        emit LeaseBidPlaced(offerId, bidIndex, msg.sender, funds);
    }

    /// @notice Accepts a bid: mints the lease to the bidder, credits the funds to the asset's
    /// holders, refunds the other bids. Only the lessor, whose signature covers the terms with that
    /// bidder as lessee.
    /// @dev If somebody who saw both signatures minted the lease at the factory first, that lease
    /// is accepted in place of a new one, once, and neither the signatures nor the deadline matter
    /// any more.
    function acceptLeaseBid(uint256 offerId, uint256 bidIndex, bytes calldata sigLessor)
        external
        nonReentrant
        returns (uint256 leaseTokenId)
    {
        LeaseOffer storage offer = leaseOffers[offerId];
        require(offer.active, "offer !active");
        require(offer.lessor == msg.sender, "not lessor");
        LeaseBid storage bid = leaseBids[offerId][bidIndex];
        require(bid.active, "bid !active");

        offer.active = false;
        bid.active = false;
        address lessee = bid.bidder;
        LeaseIntent memory terms = _termsFor(offer, lessee);
        IntentState state;
        (state, leaseTokenId) = _intentState(terms);
        if (state == IntentState.Minted) {
            require(!leasePaid[leaseTokenId], "intent used");
        } else {
            leaseTokenId = leaseFactory.mintLease(terms, sigLessor, bid.sigLessee);
        }
        leasePaid[leaseTokenId] = true;
        address token = leaseFactory.registry().getAsset(terms.lease.assetId).tokenAddress;
        require(token != address(0), "asset !exists");
        emit LeaseAccepted(offerId, bidIndex, lessee, leaseTokenId);
        _shareRevenue(leaseTokenId, AssetERC20(token), bid.funds);
        _refundLeaseBids(offerId);
    }

    /// @notice Closes an offer and refunds its bids. Only the lessor.
    /// @dev Does not revoke a signature that the lessor has already revealed; that is the factory's
    /// `cancelIntent`.
    function cancelLeaseOffer(uint256 offerId) external nonReentrant {
        LeaseOffer storage offer = leaseOffers[offerId];
        require(offer.active, "offer !active");
        require(offer.lessor == msg.sender, "not lessor");
        offer.active = false;
        emit LeaseOfferCancelled(offerId);
        _refundLeaseBids(offerId);
    }

    /// @notice Pays an active bid back to its bidder, called by anybody, once the bid cannot be
    /// accepted any more: the offer is closed, its deadline has passed, or the bid's intent was
    /// cancelled or paid for.
    function withdrawLeaseBid(uint256 offerId, uint256 bidIndex) external nonReentrant {
        LeaseBid storage bid = leaseBids[offerId][bidIndex];
        require(bid.active, "bid !active");
        address bidder = bid.bidder;
        LeaseOffer storage offer = leaseOffers[offerId];
        if (offer.active) {
            (IntentState state, uint256 tokenId) = _intentState(_termsFor(offer, bidder));
            bool dead = state != IntentState.Open || block.timestamp > offer.terms.deadline;
            require(dead, "bid binding");
            require(state != IntentState.Minted || leasePaid[tokenId], "intent used");
        }

        bid.active = false;
        uint256 funds = bid.funds;
        stable.push(bidder, funds, "refund fail");
        emit LeaseBidWithdrawn(offerId, bidIndex, bidder, funds);
    }

    // ----------------------------------------------------------------------------------- payouts

    /// @notice Pays the caller's credited revenue out.
    function claimRevenue() external nonReentrant {
        uint256 share = claims[msg.sender];
        require(share > 0, "no claims");
        claims[msg.sender] = 0;
        stable.push(msg.sender, share, "payout fail");
        emit RevenueClaimed(msg.sender, share);
    }

    /// @notice Pays the credited refunds of `bidder` out to `bidder`; anybody may call.
    function claimRefund(address bidder) external nonReentrant {
        uint256 amount = refunds[bidder];
        require(amount > 0, "no refund");
        refunds[bidder] = 0;
        stable.push(bidder, amount, "refund fail");
        emit RefundClaimed(bidder, amount);
    }

    // ---------------------------------------------------------------------------------- internals

    function _refundSaleBids(uint256 saleId) private {
        SaleBid[] storage bids = saleBids[saleId];
        uint256 count = Math.min(bids.length, SWEEP_LIMIT);
        for (uint256 i = 0; i < count; i++) {
            SaleBid storage bid = bids[i];
            if (bid.active) {
                bid.active = false;
                (address bidder, uint256 funds) = (bid.bidder, bid.funds);
                _refund(bidder, funds);
                emit SaleBidRefunded(saleId, i, bidder, funds);
            }
        }
    }

    function _refundLeaseBids(uint256 offerId) private {
        LeaseBid[] storage bids = leaseBids[offerId];
        uint256 count = Math.min(bids.length, SWEEP_LIMIT);
        for (uint256 i = 0; i < count; i++) {
            LeaseBid storage bid = bids[i];
            if (bid.active) {
                bid.active = false;
                (address bidder, uint256 funds) = (bid.bidder, bid.funds);
                _refund(bidder, funds);
                emit LeaseBidRefunded(offerId, i, bidder, funds);
            }
        }
    }

    /// @dev Never reverts: a refused payment becomes a credit.
    function _refund(address bidder, uint256 amount) private {
        if (!stable.trySafeTransfer(bidder, amount)) {
            refunds[bidder] += amount;
            emit RefundCredited(bidder, amount);
        }
    }

    /// @dev The rule is in the contract's description.
    function _shareRevenue(uint256 leaseTokenId, AssetERC20 token, uint256 funds) private {
        (address[] memory holders, uint256[] memory balances) = token.getHolders();
        uint256 supply = token.totalSupply() - token.balanceOf(address(this));
        if (supply == 0) {
            Panic.panic(Panic.DIVISION_BY_ZERO);
        }

        uint256[] memory shares = new uint256[](holders.length);
        uint256 remainder = funds;
        uint256 top = _largest(holders, balances);
        for (uint256 i = 0; i < holders.length; i++) {
            if (holders[i] != address(this)) {
                shares[i] = Math.mulDiv(balances[i], funds, supply);
                remainder -= shares[i];
            }
        }
        shares[top] += remainder;
        emit RevenueShared(leaseTokenId, address(token), funds, supply, holders[top], remainder);

        for (uint256 i = 0; i < holders.length; i++) {
            if (shares[i] > 0) {
                claims[holders[i]] += shares[i];
                emit RevenueCredited(leaseTokenId, holders[i], shares[i]);
            }
        }
    }

    /// @dev The index of the holder who is owed the remainder. There is a holder other than this
    /// contract whenever some supply is outside it.
    function _largest(address[] memory holders, uint256[] memory balances)
        private
        view
        returns (uint256 top)
    {
        uint256 most = 0;
        for (uint256 i = 0; i < holders.length; i++) {
            bool larger =
                balances[i] > most || (balances[i] == most && holders[i] < holders[top]);
            if (larger && holders[i] != address(this)) {
                (top, most) = (i, balances[i]);
            }
        }
    }

    function _termsFor(LeaseOffer storage offer, address lessee)
        private
        view
        returns (LeaseIntent memory terms)
    {
        terms = offer.terms;
        terms.lease.lessee = lessee;
    }

    function _intentState(LeaseIntent memory terms)
        private
        view
        returns (IntentState state, uint256 tokenId)
    {
        return leaseFactory.intentState(leaseFactory.hashLeaseIntent(terms));
    }
}
