// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC721Upgradeable} from
    "@openzeppelin/contracts-upgradeable/token/ERC721/ERC721Upgradeable.sol";
import {AccessControlUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/AccessControlUpgradeable.sol";
import {EIP712Upgradeable} from
    "@openzeppelin/contracts-upgradeable/utils/cryptography/EIP712Upgradeable.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {BaseUpgradable} from "../../src/BaseUpgradable.sol";
import {Lease, LeaseIntent, Metadata} from "../../src/Types.sol";
import {DeployedAssetRegistry} from "./DeployedAssetRegistry.sol";
import {DeployedMetadata} from "./DeployedMetadata.sol";

/// @dev The same two signatures mint as often as somebody sends them, up to the deadline, each time
/// with the metadata that the sender likes.
contract DeployedLeaseFactory is
    ERC721Upgradeable,
    EIP712Upgradeable,
    DeployedMetadata,
    BaseUpgradable
{
    bytes32 private constant LEASE_TYPEHASH = keccak256(
        "Lease(address lessor,address lessee,uint256 assetId,address paymentToken,"
        "uint256 rentAmount,uint256 rentPeriod,uint256 securityDeposit,uint64 startTime,"
        "uint64 endTime,bytes32 legalDocHash,uint16 termsVersion)"
    );
    bytes32 private constant LEASE_INTENT_TYPEHASH =
        keccak256("LeaseIntent(uint64 deadline,bytes32 assetTypeSchemaHash,Lease lease)");

    DeployedAssetRegistry public registry;
    uint256 public leaseId;
    mapping(uint256 leaseId => Lease) public leases;

    event LeaseMinted(
        uint256 indexed tokenId, address indexed lessor, address indexed lessee, uint256 assetId
    );

    function initialize(address admin, address upgrader, address assetRegistry)
        external
        initializer
    {
        __ERC721_init("Lease", "LEASE");
        __EIP712_init("Lease", "1");
        __BaseUpgradable_init(admin, upgrader);
        registry = DeployedAssetRegistry(assetRegistry);
    }

    /// @dev A lessee with code is asked before the lease is stored.
    function mintLease(LeaseIntent calldata L, bytes calldata sigLessor, bytes calldata sigLessee)
        external
        returns (uint256 tokenId)
    {
        require(block.timestamp <= L.deadline, "expired");
        require(L.lease.startTime < L.lease.endTime, "bad times");
        require(registry.assetExists(L.lease.assetId), "asset !exists");
        bytes32 digest = hashLeaseIntent(L);
        require(ECDSA.recover(digest, sigLessor) == L.lease.lessor, "lessor sig invalid");
        require(ECDSA.recover(digest, sigLessee) == L.lease.lessee, "lessee sig invalid");

        tokenId = leaseId++;
        _safeMint(L.lease.lessee, tokenId);
        leases[tokenId] = L.lease;
        _write(_namespace(tokenId), L.lease.metadata);
        emit LeaseMinted(tokenId, L.lease.lessor, L.lease.lessee, L.lease.assetId);
    }

    function setMetadata(uint256 tokenId, Metadata[] calldata metadata_)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        require(_ownerOf(tokenId) != address(0), "token not minted");
        _write(_namespace(tokenId), metadata_);
    }

    function removeMetadata(uint256 tokenId, string calldata key)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        _erase(_namespace(tokenId), key);
    }

    function getAllMetadata(uint256 tokenId) external view returns (Metadata[] memory metadata) {
        return getAllMetadata(_namespace(tokenId));
    }

    function getMetadataKeys(uint256 tokenId) external view returns (string[] memory keys) {
        return getAllMetadataKeys(_namespace(tokenId));
    }

    function getMetadata(uint256 tokenId, string calldata key)
        external
        view
        returns (string memory value)
    {
        return getMetadata(_namespace(tokenId), key);
    }

    function getMetadataCount(uint256 tokenId) external view returns (uint256 count) {
        return getMetadataCount(_namespace(tokenId));
    }

    function hasMetadata(uint256 tokenId, string calldata key) external view returns (bool exists) {
        return hasMetadata(_namespace(tokenId), key);
    }

    function hashLeaseIntent(LeaseIntent calldata L) public view returns (bytes32) {
        bytes32 leaseHash = keccak256(
            abi.encode(
                LEASE_TYPEHASH,
                L.lease.lessor,
                L.lease.lessee,
                L.lease.assetId,
                L.lease.paymentToken,
                L.lease.rentAmount,
                L.lease.rentPeriod,
                L.lease.securityDeposit,
                L.lease.startTime,
                L.lease.endTime,
                L.lease.legalDocHash,
                L.lease.termsVersion
            )
        );
        return _hashTypedDataV4(
            keccak256(abi.encode(LEASE_INTENT_TYPEHASH, L.deadline, L.assetType, leaseHash))
        );
    }

    function tokenURI(uint256 tokenId) public view override returns (string memory) {
        require(_ownerOf(tokenId) != address(0), "not minted");
        string memory uri = getMetadata(_namespace(tokenId), "uri");
        return bytes(uri).length == 0 ? "" : string.concat(uri, Strings.toString(tokenId));
    }

    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(ERC721Upgradeable, AccessControlUpgradeable)
        returns (bool)
    {
        return super.supportsInterface(interfaceId);
    }

    function _namespace(uint256 tokenId) private pure returns (bytes32) {
        return keccak256(abi.encode(tokenId));
    }
}
