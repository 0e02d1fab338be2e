// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BaseUpgradable} from "../../src/BaseUpgradable.sol";
import {LeaseBid, LeaseIntent, LeaseOffer, Sale, SaleBid} from "../../src/Types.sol";
import {DeployedAssetERC20} from "./DeployedAssetERC20.sol";
import {DeployedLeaseFactory} from "./DeployedLeaseFactory.sol";

/// @dev Offers and bids cannot be taken back. Credits and the refunds of lease bids leave no event
/// of their own. Shares divide by the whole supply, the marketplace's own tokens included, and what
/// the divisions leave over stays here for ever.
contract DeployedMarketplace is BaseUpgradable {
    IERC20 public stable;
    DeployedLeaseFactory public leaseFactory;
    uint256 public nextSaleId;
    uint256 public nextLeaseOfferId;
    mapping(uint256 saleId => Sale) public sales;
    mapping(uint256 saleId => SaleBid[]) public saleBids;
    mapping(uint256 offerId => LeaseOffer) public leaseOffers;
    mapping(uint256 offerId => LeaseBid[]) public leaseBids;
    mapping(address account => uint256) public claims;

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
    event SaleBidRefunded(
        uint256 indexed saleId, uint256 indexed bidIndex, address bidder, uint256 amount
    );
    event LeaseOfferPosted(
        uint256 indexed offerId, address indexed lessor, uint256 assetId
    );
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

    function initialize(address admin, address upgrader, address stablecoin, address leaseFactory_)
        external
        initializer
    {
        __BaseUpgradable_init(admin, upgrader);
        stable = IERC20(stablecoin);
        leaseFactory = DeployedLeaseFactory(leaseFactory_);
    }

    function postSale(address assetToken, uint256 amount, uint256 askPricePerUnit)
        external
        returns (uint256 saleId)
    {
        require(amount > 0, "amount=0");
        saleId = nextSaleId++;
        sales[saleId] = Sale(msg.sender, assetToken, amount, askPricePerUnit, true);
        emit SalePosted(saleId, msg.sender, assetToken, amount, askPricePerUnit);
    }

    function placeSaleBid(uint256 saleId, uint256 amount, uint256 pricePerUnit)
        external
        returns (uint256 bidIndex)
    {
        Sale storage sale = sales[saleId];
        require(sale.active, "sale !active");
        require(amount > 0 && amount <= sale.amount, "bad amount");
        uint256 funds = amount * pricePerUnit / 1e18;
        require(stable.transferFrom(msg.sender, address(this), funds), "fund xfer fail");
        bidIndex = saleBids[saleId].length;
        saleBids[saleId].push(SaleBid(msg.sender, amount, pricePerUnit, funds, true));
        emit SaleBidPlaced(saleId, bidIndex, msg.sender, amount, pricePerUnit, funds);
    }

    function acceptSaleBid(uint256 saleId, uint256 bidIndex) external {
        Sale storage sale = sales[saleId];
        require(sale.active, "sale !active");
        require(sale.seller == msg.sender, "not seller");
        SaleBid storage bid = saleBids[saleId][bidIndex];
        require(bid.active, "bid !active");
        require(bid.amount <= sale.amount, "exceeds sale amount");
        bid.active = false;
        sale.amount -= bid.amount;
        sale.active = sale.amount > 0;
        bool moved =
            IERC20(sale.assetToken).transferFrom(msg.sender, bid.bidder, bid.amount);
        require(moved, "asset transfer fail");
        require(stable.transfer(msg.sender, bid.funds), "pay seller fail");
        emit SaleBidAccepted(saleId, bidIndex, bid.bidder);

        SaleBid[] storage bids = saleBids[saleId];
        for (uint256 i = 0; i < bids.length; i++) {
            if (bids[i].active) {
                bids[i].active = false;
                require(stable.transfer(bids[i].bidder, bids[i].funds), "refund fail");
                emit SaleBidRefunded(saleId, i, bids[i].bidder, bids[i].funds);
            }
        }
    }

    function postLeaseOffer(LeaseIntent calldata L) external returns (uint256 offerId) {
        require(L.lease.lessor == msg.sender, "not lessor");
        require(L.lease.paymentToken == address(stable), "must pay in stable");
        offerId = nextLeaseOfferId++;
        leaseOffers[offerId] = LeaseOffer(msg.sender, L, true);
        emit LeaseOfferPosted(offerId, msg.sender, L.lease.assetId);
    }

    function placeLeaseBid(uint256 offerId, bytes calldata sigLessee, uint256 funds)
        external
        returns (uint256 bidIndex)
    {
        require(leaseOffers[offerId].active, "offer !active");
        require(funds > 0, "funds=0");
        require(stable.transferFrom(msg.sender, address(this), funds), "fund xfer fail");
        bidIndex = leaseBids[offerId].length;
        leaseBids[offerId].push(LeaseBid(msg.sender, sigLessee, funds, true));
        emit LeaseBidPlaced(offerId, bidIndex, msg.sender, funds);
    }

    function acceptLeaseBid(uint256 offerId, uint256 bidIndex, bytes calldata sigLessor)
        external
        returns (uint256 leaseTokenId)
    {
        LeaseOffer storage offer = leaseOffers[offerId];
        require(offer.active, "offer !active");
        require(offer.lessor == msg.sender, "not lessor");
        LeaseBid storage bid = leaseBids[offerId][bidIndex];
        require(bid.active, "bid !active");
        offer.active = false;
        bid.active = false;
        LeaseIntent memory terms = offer.terms;
        terms.lease.lessee = bid.bidder;
        leaseTokenId = leaseFactory.mintLease(terms, sigLessor, bid.sigLessee);
        address token = leaseFactory.registry().getAsset(terms.lease.assetId).tokenAddress;
        require(token != address(0), "asset !exists");
        emit LeaseAccepted(offerId, bidIndex, bid.bidder, leaseTokenId);
        _refundLeaseBids(leaseBids[offerId]);
        _credit(DeployedAssetERC20(token), bid.funds);
    }

    function claimRevenue() external {
        uint256 share = claims[msg.sender];
        require(share > 0, "no claims");
        claims[msg.sender] = 0;
        require(stable.transfer(msg.sender, share), "payout fail");
        emit RevenueClaimed(msg.sender, share);
    }

    function _refundLeaseBids(LeaseBid[] storage bids) private {
        for (uint256 i = 0; i < bids.length; i++) {
            if (bids[i].active) {
                bids[i].active = false;
                require(stable.transfer(bids[i].bidder, bids[i].funds), "refund fail");
            }
        }
    }

    function _credit(DeployedAssetERC20 token, uint256 funds) private {
        (address[] memory holders, uint256[] memory balances) = token.getHolders();
        uint256 supply = token.totalSupply();
        for (uint256 i = 0; i < holders.length; i++) {
            claims[holders[i]] += balances[i] * funds / supply;
        }
    }
}
