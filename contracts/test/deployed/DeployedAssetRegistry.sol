// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {BaseUpgradable} from "../../src/BaseUpgradable.sol";
import {Asset, AssetType, Metadata} from "../../src/Types.sol";
import {DeployedAssetERC20} from "./DeployedAssetERC20.sol";
import {DeployedMetadata} from "./DeployedMetadata.sol";

contract DeployedAssetRegistry is DeployedMetadata, BaseUpgradable {
    bytes32 internal constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");

    address public assetERC20Implementation;
    uint256 public assetId;

    mapping(bytes32 assetType => AssetType) private _types;
    mapping(uint256 id => Asset) private _assets;

    event AssetTypeCreated(
        string indexed name, bytes32 indexed assetType, bytes32[] requiredLeaseKeys
    );
    event AssetRegistered(
        uint256 indexed assetId, bytes32 indexed assetType, address tokenAddress
    );

    function initialize(
        address admin,
        address upgrader,
        address registrar,
        address _assetERC20Implementation
    ) external initializer {
        __BaseUpgradable_init(admin, upgrader);
        _grantRole(REGISTRAR_ROLE, registrar);
        assetERC20Implementation = _assetERC20Implementation;
    }

    function createAssetType(
        string calldata name,
        bytes32 assetType,
        bytes32[] calldata requiredLeaseKeys,
        Metadata[] calldata metadata
    ) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _types[assetType] = AssetType(name, requiredLeaseKeys);
        _write(assetType, metadata);
        emit AssetTypeCreated(name, assetType, requiredLeaseKeys);
    }

    function registerAsset(
        bytes32 assetType,
        string calldata tokenName,
        string calldata tokenSymbol,
        uint256 totalSupply,
        address admin,
        address upgrader,
        address tokenRecipient,
        Metadata[] calldata metadata
    ) external onlyRole(REGISTRAR_ROLE) returns (uint256 newAssetId, address token) {
        require(bytes(_types[assetType].name).length > 0, "type !exists");
        newAssetId = ++assetId;
        token = Clones.clone(assetERC20Implementation);
        DeployedAssetERC20(token).initialize(
            tokenName,
            tokenSymbol,
            totalSupply,
            newAssetId,
            admin,
            upgrader,
            tokenRecipient,
            metadata
        );
        _assets[newAssetId] = Asset(assetType, msg.sender, token);
        emit AssetRegistered(newAssetId, assetType, token);
    }

    function setMetadata(bytes32 assetType, Metadata[] calldata metadata)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        _write(assetType, metadata);
    }

    function removeMetadata(bytes32 assetType, string calldata key)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        _erase(assetType, key);
    }

    function assetExists(uint256 id) external view returns (bool) {
        return _assets[id].tokenAddress != address(0);
    }

    function getAsset(uint256 id) external view returns (Asset memory) {
        return _assets[id];
    }

    function getType(bytes32 assetType) external view returns (AssetType memory) {
        return _types[assetType];
    }
}
