// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AssetRegistry} from "../../src/AssetRegistry.sol";
import {LeaseFactory} from "../../src/LeaseFactory.sol";
import {Marketplace} from "../../src/Marketplace.sol";

// Later revisions of the upgradeable contracts: each appends one variable that a second initializer
// sets, which is how a real upgrade would add state.

contract AssetRegistryV2 is AssetRegistry {
    uint256 public added;

    function initializeV2(uint256 value) external reinitializer(2) {
        added = value;
    }
}

contract LeaseFactoryV2 is LeaseFactory {
    uint256 public added;

    function initializeV2(uint256 value) external reinitializer(2) {
        added = value;
    }
}

contract MarketplaceV2 is Marketplace {
    uint256 public added;

    function initializeV2(uint256 value) external reinitializer(2) {
        added = value;
    }
}

/// Answers proxiableUUID with a slot that is not the ERC-1967 one.
contract WrongSlot {
    function proxiableUUID() external pure returns (bytes32) {
        return bytes32(uint256(1));
    }
}
