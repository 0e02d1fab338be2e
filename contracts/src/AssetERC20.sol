// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20Upgradeable} from
    "@openzeppelin/contracts-upgradeable/token/ERC20/ERC20Upgradeable.sol";
import {EIP712Upgradeable} from
    "@openzeppelin/contracts-upgradeable/utils/cryptography/EIP712Upgradeable.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {BaseUpgradable} from "./BaseUpgradable.sol";
import {MetadataStorage} from "./MetadataStorage.sol";
import {Metadata} from "./Types.sol";

/// @title The fractional ownership token of one asset
/// @notice 18 decimals; the whole supply is minted to one recipient at initialisation, and there is
/// neither minting nor burning afterwards. The contract keeps the list of its holders, so that
/// revenue can be shared among them on chain.
///
/// An account is a holder exactly while its balance is above zero: a transfer of zero adds nobody,
/// and whoever sends the last unit leaves the list. The order of the list means nothing (a holder
/// who leaves is replaced by the last one).
///
/// Each asset's token is an EIP-1167 clone of one implementation. A clone cannot be upgraded:
/// although it shows `upgradeToAndCall`, that call always reverts with
/// `UUPSUnauthorizedCallContext`, and `getUupsImplementation` returns zero.
contract AssetERC20 is ERC20Upgradeable, EIP712Upgradeable, MetadataStorage, BaseUpgradable {
    using EnumerableSet for EnumerableSet.AddressSet;

    uint256 private _assetId;
    EnumerableSet.AddressSet private _holders;

    /// @notice Sets the token up; called once by the registry, in the transaction that makes the
    /// clone.
    function initialize(
        string calldata name_,
        string calldata symbol_,
        uint256 totalSupply_,
        uint256 assetId_,
        address admin,
        address upgrader,
        address tokenRecipient,
        Metadata[] calldata metadata
    ) external initializer {
        __ERC20_init(name_, symbol_);
        __EIP712_init(name_, "1");
        __BaseUpgradable_init(admin, upgrader);
        _assetId = assetId_;
        _mint(tokenRecipient, totalSupply_);
        _setMetadata(_namespace(), metadata);
    }

    /// @notice Writes metadata pairs of this asset. Only the admin.
    function setMetadata(Metadata[] calldata metadata_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setMetadata(_namespace(), metadata_);
    }

    /// @notice Removes a key that has a value. Only the admin.
    function removeMetadata(string calldata key) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _removeMetadata(_namespace(), key);
    }

    /// @notice Every holder with its balance, as two parallel arrays in no particular order.
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

    /// @notice Every metadata pair of this asset.
    function getAllMetadata() external view returns (Metadata[] memory metadata) {
        return getAllMetadata(_namespace());
    }

    /// @notice The metadata keys of this asset.
    function getAllMetadataKeys() external view returns (string[] memory keys) {
        return getAllMetadataKeys(_namespace());
    }

    /// @notice The value under `key` of this asset; empty when there is none.
    function getMetadata(string calldata key) external view returns (string memory value) {
        return getMetadata(_namespace(), key);
    }

    /// @notice How many metadata keys this asset has.
    function getMetadataCount() external view returns (uint256 count) {
        return getMetadataCount(_namespace());
    }

    /// @notice Whether this asset has a value under `key` that is not empty.
    function hasMetadata(string calldata key) external view returns (bool exists) {
        return hasMetadata(_namespace(), key);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (value == 0) {
            return;
        }
        if (from != address(0) && balanceOf(from) == 0) {
            _holders.remove(from);
        }
        if (to != address(0)) {
            _holders.add(to);
        }
    }

    function _namespace() private view returns (bytes32) {
        return keccak256(abi.encode(_assetId));
    }
}
