// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Metadata} from "../../src/Types.sol";

// The contracts of this folder are the generation of the protocol that is deployed today, written
// from its documentation, with its mistakes. Tests run Freehold against it, because operators
// follow chains that nobody is going to deploy our contracts to. Structs, type strings and the
// upgrade mechanism are the same in both generations, hence shared; everything else stays as it is
// here whatever becomes of ours.

/// @dev A key counts as new while its stored value is empty: an empty value written twice lists the
/// key twice, and such a key can be neither seen by `hasMetadata` nor removed.
abstract contract DeployedMetadata {
    mapping(bytes32 hash => string[]) private _keys;
    mapping(bytes32 hash => mapping(string key => string)) private _values;

    event MetadataUpdated(bytes32 indexed hash, string key, string value);
    event MetadataRemoved(bytes32 indexed hash, string key);

    function getAllMetadata(bytes32 hash) public view returns (Metadata[] memory metadata) {
        string[] storage keys = _keys[hash];
        metadata = new Metadata[](keys.length);
        for (uint256 i = 0; i < keys.length; i++) {
            metadata[i] = Metadata(keys[i], _values[hash][keys[i]]);
        }
    }

    function getAllMetadataKeys(bytes32 hash) public view returns (string[] memory keys) {
        return _keys[hash];
    }

    function getMetadata(bytes32 hash, string memory key)
        public
        view
        returns (string memory value)
    {
        return _values[hash][key];
    }

    function getMetadataCount(bytes32 hash) public view returns (uint256 count) {
        return _keys[hash].length;
    }

    function hasMetadata(bytes32 hash, string memory key) public view returns (bool exists) {
        return bytes(_values[hash][key]).length > 0;
    }

    function _write(bytes32 hash, Metadata[] calldata pairs) internal {
        for (uint256 i = 0; i < pairs.length; i++) {
            if (!hasMetadata(hash, pairs[i].key)) {
                _keys[hash].push(pairs[i].key);
            }
            _values[hash][pairs[i].key] = pairs[i].value;
            emit MetadataUpdated(hash, pairs[i].key, pairs[i].value);
        }
    }

    function _erase(bytes32 hash, string calldata key) internal {
        require(hasMetadata(hash, key), "Key does not exist");
        delete _values[hash][key];
        string[] storage keys = _keys[hash];
        for (uint256 i = 0; i < keys.length; i++) {
            if (keccak256(bytes(keys[i])) == keccak256(bytes(key))) {
                keys[i] = keys[keys.length - 1];
                keys.pop();
                break;
            }
        }
        emit MetadataRemoved(hash, key);
    }
}
