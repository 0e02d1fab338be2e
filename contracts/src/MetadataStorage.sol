// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Metadata} from "./Types.sol";

/// @title Enumerable text metadata, in namespaces named by a 32-byte hash
/// @notice Keys enumerate in the order of their first writing; a removal puts the last key in the
/// removed key's place. There is no limit on keys, values or counts. A key stored with an empty
/// value is enumerated, but `hasMetadata` says false and it cannot be removed; writing it again
/// does not list it twice.
abstract contract MetadataStorage {
    /// @custom:storage-location erc7201:freehold.storage.Metadata
    struct MetadataLayout {
        mapping(bytes32 hash => string[]) keys;
        mapping(bytes32 hash => mapping(string key => string)) values;
        // Keys that are listed although their value is empty. The value itself tells for all
        // others, so that the usual write pays for no second mark.
        mapping(bytes32 hash => mapping(string key => bool)) blank;
    }

    // keccak256(abi.encode(uint256(keccak256("freehold.storage.Metadata")) - 1)) & ~0xff
    bytes32 private constant METADATA_SLOT =
        0x8caa89258150dde61108bc24af92ba816699d28e27f472bdf8f30e2d27551000;

    /// @notice A value was written under `key`.
    event MetadataUpdated(bytes32 indexed hash, string key, string value);

    /// @notice `key` and its value were removed.
    event MetadataRemoved(bytes32 indexed hash, string key);

    /// @notice Every pair of a namespace, in the order of `getAllMetadataKeys`.
    function getAllMetadata(bytes32 hash) public view returns (Metadata[] memory metadata) {
        MetadataLayout storage $ = _metadata();
        string[] storage keys = $.keys[hash];
        metadata = new Metadata[](keys.length);
        for (uint256 i = 0; i < metadata.length; i++) {
            string memory key = keys[i];
            metadata[i] = Metadata(key, $.values[hash][key]);
        }
    }

    /// @notice The keys of a namespace.
    function getAllMetadataKeys(bytes32 hash) public view returns (string[] memory keys) {
        return _metadata().keys[hash];
    }

    /// @notice The value under `key`; empty when there is none.
    function getMetadata(bytes32 hash, string memory key)
        public
        view
        returns (string memory value)
    {
        return _metadata().values[hash][key];
    }

    /// @notice How many keys a namespace lists.
    function getMetadataCount(bytes32 hash) public view returns (uint256 count) {
        return _metadata().keys[hash].length;
    }

    /// @notice Whether the value under `key` is not empty.
    function hasMetadata(bytes32 hash, string memory key) public view returns (bool exists) {
        return bytes(_metadata().values[hash][key]).length > 0;
    }

    function _setMetadata(bytes32 hash, Metadata[] calldata pairs) internal {
        MetadataLayout storage $ = _metadata();
        for (uint256 i = 0; i < pairs.length; i++) {
            string calldata key = pairs[i].key;
            string calldata value = pairs[i].value;
            if (bytes($.values[hash][key]).length == 0) {
                _list($, hash, key, bytes(value).length == 0);
            } else if (bytes(value).length == 0) {
                $.blank[hash][key] = true;
            }
            $.values[hash][key] = value;
            emit MetadataUpdated(hash, key, value);
        }
    }

    function _removeMetadata(bytes32 hash, string calldata key) internal {
        MetadataLayout storage $ = _metadata();
        require(bytes($.values[hash][key]).length > 0, "Key does not exist");
        delete $.values[hash][key];

        string[] storage keys = $.keys[hash];
        bytes32 wanted = keccak256(bytes(key));
        uint256 at = 0;
        while (keccak256(bytes(keys[at])) != wanted) {
            at++;
        }
        uint256 last = keys.length - 1;
        if (at != last) {
            keys[at] = keys[last];
        }
        keys.pop();
        emit MetadataRemoved(hash, key);
    }

    /// @dev Lists a key whose present value is empty, unless it is listed already, and keeps
    /// `blank` true exactly for listed keys whose value is about to be empty.
    function _list(MetadataLayout storage $, bytes32 hash, string calldata key, bool blank)
        private
    {
        if ($.blank[hash][key]) {
            if (!blank) {
                delete $.blank[hash][key];
            }
            return;
        }
        $.keys[hash].push(key);
        if (blank) {
            $.blank[hash][key] = true;
        }
    }

    function _metadata() private pure returns (MetadataLayout storage $) {
        assembly {
            $.slot := METADATA_SLOT
        }
    }
}
