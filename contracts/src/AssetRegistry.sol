// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {AssetERC20} from "./AssetERC20.sol";
import {BaseUpgradable} from "./BaseUpgradable.sol";
import {MetadataStorage} from "./MetadataStorage.sol";
import {Asset, AssetType, Metadata} from "./Types.sol";

/// @title The registry of asset types and assets
/// @notice The admin creates types, the registrar registers assets. Each asset gets a token of its
/// own. A type is known by a 32-byte id that the caller chooses (by convention keccak256 of a
/// schema's name); its metadata lives in the namespace of that same id. Asset ids start at 1.
contract AssetRegistry is MetadataStorage, BaseUpgradable {
    bytes32 internal constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");

    /// @notice The contract that asset tokens are clones of.
    address public assetERC20Implementation;

    /// @notice The id of the newest asset; 0 before the first.
    uint256 public assetId;

    mapping(bytes32 assetType => AssetType) private _types;
    mapping(uint256 id => Asset) private _assets;

    /// @notice A type was created or replaced. The topic `name` is the hash of the name.
    event AssetTypeCreated(
        string indexed name, bytes32 indexed assetType, bytes32[] requiredLeaseKeys
    );

    /// @notice An asset was registered; follows every event of the new token.
    event AssetRegistered(
        uint256 indexed assetId, bytes32 indexed assetType, address tokenAddress
    );

    /// @notice Sets the proxy up. No argument is checked for zero.
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

    /// @notice Creates a type, or replaces the type of that id. Only the admin.
    /// @dev An empty name is accepted, as it always was, and makes a type that `registerAsset`
    /// calls non-existent: it is how an admin closes a type to further assets without touching
    /// those that exist. Metadata given to an existing type is added to what it has.
    function createAssetType(
        string calldata name,
        bytes32 assetType,
        bytes32[] calldata requiredLeaseKeys,
        Metadata[] calldata metadata
    ) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _types[assetType] = AssetType(name, requiredLeaseKeys);
        _setMetadata(assetType, metadata);
        emit AssetTypeCreated(name, assetType, requiredLeaseKeys);
    }

    /// @notice Registers an asset and makes its token. Only a registrar.
    /// @param admin The admin of the new token.
    /// @param upgrader Recorded in the token's roles, without effect: clones cannot be upgraded.
    /// @param tokenRecipient Receives the whole supply.
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
        _assets[newAssetId] = Asset(assetType, msg.sender, token);
        AssetERC20(token).initialize(
            tokenName,
            tokenSymbol,
            totalSupply,
            newAssetId,
            admin,
            upgrader,
            tokenRecipient,
            metadata
        );
        emit AssetRegistered(newAssetId, assetType, token);
    }

    /// @notice Writes metadata pairs of a type, which need not exist. Only the admin.
    function setMetadata(bytes32 assetType, Metadata[] calldata metadata)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        _setMetadata(assetType, metadata);
    }

    /// @notice Removes a key of a type that has a value. Only the admin.
    function removeMetadata(bytes32 assetType, string calldata key)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        _removeMetadata(assetType, key);
    }

    /// @notice Whether an asset of that id was registered.
    function assetExists(uint256 id) external view returns (bool) {
        return _assets[id].tokenAddress != address(0);
    }

    /// @notice The asset of that id; all zero when there is none.
    function getAsset(uint256 id) external view returns (Asset memory) {
        return _assets[id];
    }

    /// @notice The type of that id; empty when there is none.
    function getType(bytes32 assetType) external view returns (AssetType memory) {
        return _types[assetType];
    }
}
