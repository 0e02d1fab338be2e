// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20Upgradeable} from
    "@openzeppelin/contracts-upgradeable/token/ERC20/ERC20Upgradeable.sol";
import {EIP712Upgradeable} from
    "@openzeppelin/contracts-upgradeable/utils/cryptography/EIP712Upgradeable.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {BaseUpgradable} from "../../src/BaseUpgradable.sol";
import {Metadata} from "../../src/Types.sol";
import {DeployedMetadata} from "./DeployedMetadata.sol";

/// @dev A transfer of nothing makes its recipient a holder.
contract DeployedAssetERC20 is
    ERC20Upgradeable,
    EIP712Upgradeable,
    DeployedMetadata,
    BaseUpgradable
{
    using EnumerableSet for EnumerableSet.AddressSet;

    bytes32 private _namespace;
    EnumerableSet.AddressSet private _holders;

    function initialize(
        string calldata name,
        string calldata symbol,
        uint256 totalSupply,
        uint256 assetId,
        address admin,
        address upgrader,
        address tokenRecipient,
        Metadata[] calldata metadata
    ) external initializer {
        __ERC20_init(name, symbol);
        __EIP712_init(name, "1");
        __BaseUpgradable_init(admin, upgrader);
        _namespace = keccak256(abi.encode(assetId));
        _mint(tokenRecipient, totalSupply);
        _write(_namespace, metadata);
    }

    function setMetadata(Metadata[] calldata metadata_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _write(_namespace, metadata_);
    }

    function removeMetadata(string calldata key) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _erase(_namespace, key);
    }

    function getHolders()
        external
        view
        returns (address[] memory holders, uint256[] memory balances)
    {
        holders = _holders.values();
        balances = new uint256[](holders.length);
        for (uint256 i = 0; i < holders.length; i++) {
            balances[i] = balanceOf(holders[i]);
        }
    }

    function getAllMetadata() external view returns (Metadata[] memory metadata) {
        return getAllMetadata(_namespace);
    }

    function getAllMetadataKeys() external view returns (string[] memory keys) {
        return getAllMetadataKeys(_namespace);
    }

    function getMetadata(string calldata key) external view returns (string memory value) {
        return getMetadata(_namespace, key);
    }

    function getMetadataCount() external view returns (uint256 count) {
        return getMetadataCount(_namespace);
    }

    function hasMetadata(string calldata key) external view returns (bool exists) {
        return hasMetadata(_namespace, key);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && balanceOf(from) == 0) {
            _holders.remove(from);
        }
        if (to != address(0)) {
            _holders.add(to);
        }
    }
}
