// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC721Upgradeable} from
    "@openzeppelin/contracts-upgradeable/token/ERC721/ERC721Upgradeable.sol";
import {AccessControlUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/AccessControlUpgradeable.sol";
import {EIP712Upgradeable} from
    "@openzeppelin/contracts-upgradeable/utils/cryptography/EIP712Upgradeable.sol";
import {ERC721Utils} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Utils.sol";
import {ReentrancyGuardTransient} from
    "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {AssetRegistry} from "./AssetRegistry.sol";
import {BaseUpgradable} from "./BaseUpgradable.sol";
import {MetadataStorage} from "./MetadataStorage.sol";
import {IntentState, Lease, LeaseIntent, Metadata} from "./Types.sol";

/// @title Leases as ERC-721 tokens
/// @notice Whoever holds the signatures of lessor and lessee over the same intent may mint the
/// lease to the lessee, once, up to the intent's deadline. Lease ids start at 0.
///
/// The signed digest follows EIP-712 except in two points that deployed signers depend on: the type
/// string of LeaseIntent does not append that of Lease, and names its second member
/// assetTypeSchemaHash. Wallets that encode typed data themselves therefore produce another digest;
/// sign the 32 bytes of `hashLeaseIntent`. Metadata is not part of the digest, so whoever submits
/// the mint chooses it; the admin can correct it afterwards.
///
/// The digest is also what protects against replay: it mints one lease (`intentState` tells which),
/// and either party may cancel it before that (`cancelIntent`), for instance after having revealed
/// a signature in a transaction that failed. Terms that are to be leased twice need two intents,
/// which differ at least in the deadline.
contract LeaseFactory is
    ERC721Upgradeable,
    EIP712Upgradeable,
    MetadataStorage,
    BaseUpgradable,
    ReentrancyGuardTransient
{
    /// @dev The stored part of a lease; the names and order of `leases(uint256)`.
    struct LeaseRecord {
        address lessor;
        address lessee;
        uint256 assetId;
        address paymentToken;
        uint256 rentAmount;
        uint256 rentPeriod;
        uint256 securityDeposit;
        uint64 startTime;
        uint64 endTime;
        bytes32 legalDocHash;
        uint16 termsVersion;
    }

    bytes32 private constant LEASE_TYPEHASH = keccak256(
        "Lease(address lessor,address lessee,uint256 assetId,address paymentToken,"
        "uint256 rentAmount,uint256 rentPeriod,uint256 securityDeposit,uint64 startTime,"
        "uint64 endTime,bytes32 legalDocHash,uint16 termsVersion)"
    );
    bytes32 private constant LEASE_INTENT_TYPEHASH =
        keccak256("LeaseIntent(uint64 deadline,bytes32 assetTypeSchemaHash,Lease lease)");

    uint256 private constant INTENT_CANCELLED = type(uint256).max;

    /// @notice The registry that leased assets must be in.
    AssetRegistry public registry;

    /// @notice The id of the next lease.
    uint256 public leaseId;

    /// @notice The terms of a lease as minted; all zero when there is none. The lessee does not
    /// follow transfers of the token.
    mapping(uint256 leaseId => LeaseRecord) public leases;

    // Digest to lease id + 1, or INTENT_CANCELLED, or 0 while it may still be minted.
    mapping(bytes32 digest => uint256) private _intents;

    /// @notice A lease was minted to its lessee.
    event LeaseMinted(
        uint256 indexed tokenId, address indexed lessor, address indexed lessee, uint256 assetId
    );

    /// @notice A party took back its consent: the digest can no longer be minted.
    event LeaseIntentCancelled(bytes32 indexed digest, address indexed party);

    /// @notice Sets the proxy up. No argument is checked for zero.
    function initialize(address admin, address upgrader, address assetRegistry)
        external
        initializer
    {
        __ERC721_init("Lease", "LEASE");
        __EIP712_init("Lease", "1");
        __BaseUpgradable_init(admin, upgrader);
        registry = AssetRegistry(assetRegistry);
    }

    /// @notice Mints the lease that both parties signed, to the lessee.
    /// @dev A lessee with code must accept the token; it is asked last, when the lease is complete.
    function mintLease(LeaseIntent calldata L, bytes calldata sigLessor, bytes calldata sigLessee)
        external
        nonReentrant
        returns (uint256 tokenId)
    {
        Lease calldata lease = L.lease;
        require(block.timestamp <= L.deadline, "expired");
        require(lease.startTime < lease.endTime, "bad times");
        require(registry.assetExists(lease.assetId), "asset !exists");
        bytes32 digest = hashLeaseIntent(L);
        require(ECDSA.recover(digest, sigLessor) == lease.lessor, "lessor sig invalid");
        require(ECDSA.recover(digest, sigLessee) == lease.lessee, "lessee sig invalid");
        require(_intents[digest] == 0, "intent used");

        tokenId = leaseId++;
        _intents[digest] = tokenId + 1;
        _record(tokenId, lease);
        _mint(lease.lessee, tokenId);
        _setMetadata(_namespace(tokenId), lease.metadata);
        emit LeaseMinted(tokenId, lease.lessor, lease.lessee, lease.assetId);
        ERC721Utils.checkOnERC721Received(msg.sender, address(0), lease.lessee, tokenId, "");
    }

    /// @notice Makes an intent unmintable. Only its lessor or its lessee, and only before it is
    /// minted.
    function cancelIntent(LeaseIntent calldata L) external {
        require(msg.sender == L.lease.lessor || msg.sender == L.lease.lessee, "not party");
        bytes32 digest = hashLeaseIntent(L);
        require(_intents[digest] == 0, "intent used");
        _intents[digest] = INTENT_CANCELLED;
        emit LeaseIntentCancelled(digest, msg.sender);
    }

    /// @notice Writes metadata pairs of a lease. Only the admin.
    function setMetadata(uint256 tokenId, Metadata[] calldata metadata_)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        require(_ownerOf(tokenId) != address(0), "token not minted");
        _setMetadata(_namespace(tokenId), metadata_);
    }

    /// @notice Removes a key of a lease that has a value. Only the admin.
    function removeMetadata(uint256 tokenId, string calldata key)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        _removeMetadata(_namespace(tokenId), key);
    }

    /// @notice What has become of a digest, and which lease it minted (0 unless Minted).
    function intentState(bytes32 digest)
        external
        view
        returns (IntentState state, uint256 tokenId)
    {
        uint256 entry = _intents[digest];
        if (entry == 0) {
            return (IntentState.Open, 0);
        }
        if (entry == INTENT_CANCELLED) {
            return (IntentState.Cancelled, 0);
        }
        return (IntentState.Minted, entry - 1);
    }

    /// @notice Every metadata pair of a lease.
    function getAllMetadata(uint256 tokenId) external view returns (Metadata[] memory metadata) {
        return getAllMetadata(_namespace(tokenId));
    }

    /// @notice The metadata keys of a lease.
    function getMetadataKeys(uint256 tokenId) external view returns (string[] memory keys) {
        return getAllMetadataKeys(_namespace(tokenId));
    }

    /// @notice The value under `key` of a lease; empty when there is none.
    function getMetadata(uint256 tokenId, string calldata key)
        external
        view
        returns (string memory value)
    {
        return getMetadata(_namespace(tokenId), key);
    }

    /// @notice How many metadata keys a lease has.
    function getMetadataCount(uint256 tokenId) external view returns (uint256 count) {
        return getMetadataCount(_namespace(tokenId));
    }

    /// @notice Whether a lease has a value under `key` that is not empty.
    function hasMetadata(uint256 tokenId, string calldata key) external view returns (bool exists) {
        return hasMetadata(_namespace(tokenId), key);
    }

    /// @notice The exact 32 bytes that lessor and lessee sign.
    function hashLeaseIntent(LeaseIntent calldata L) public view returns (bytes32) {
        Lease calldata lease = L.lease;
        bytes32 leaseHash = keccak256(
            abi.encode(
                LEASE_TYPEHASH,
                lease.lessor,
                lease.lessee,
                lease.assetId,
                lease.paymentToken,
                lease.rentAmount,
                lease.rentPeriod,
                lease.securityDeposit,
                lease.startTime,
                lease.endTime,
                lease.legalDocHash,
                lease.termsVersion
            )
        );
        return _hashTypedDataV4(
            keccak256(abi.encode(LEASE_INTENT_TYPEHASH, L.deadline, L.assetType, leaseHash))
        );
    }

    /// @notice The lease's metadata value "uri" followed by its decimal id; empty without that key.
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

    function _record(uint256 tokenId, Lease calldata lease) private {
        LeaseRecord storage r = leases[tokenId];
        r.lessor = lease.lessor;
        r.lessee = lease.lessee;
        r.assetId = lease.assetId;
        r.paymentToken = lease.paymentToken;
        r.rentAmount = lease.rentAmount;
        r.rentPeriod = lease.rentPeriod;
        r.securityDeposit = lease.securityDeposit;
        r.startTime = lease.startTime;
        r.endTime = lease.endTime;
        r.legalDocHash = lease.legalDocHash;
        r.termsVersion = lease.termsVersion;
    }

    function _namespace(uint256 tokenId) private pure returns (bytes32) {
        return keccak256(abi.encode(tokenId));
    }
}
