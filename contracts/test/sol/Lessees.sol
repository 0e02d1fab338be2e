// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {LeaseFactory} from "../../src/LeaseFactory.sol";

// A lessee signs with a key, so its code stands at an address that has one (EIP-7702). The tests
// place these contracts there.

/// Uses the moment of receipt for a call of its choice, and notes what the factory shows then.
contract CallingLessee {
    address public target;
    bytes public data;
    bytes public refusal;
    bool public succeeded;
    address public lessorSeen;
    string public uriSeen;

    function arm(address target_, bytes calldata data_) external {
        (target, data) = (target_, data_);
    }

    function onERC721Received(address, address, uint256 tokenId, bytes calldata)
        external
        returns (bytes4)
    {
        (lessorSeen,,,,,,,,,,) = LeaseFactory(msg.sender).leases(tokenId);
        uriSeen = LeaseFactory(msg.sender).tokenURI(tokenId);
        if (target != address(0)) {
            (succeeded, refusal) = target.call(data);
        }
        return this.onERC721Received.selector;
    }
}

/// Refuses every token.
contract RefusingLessee {
    function onERC721Received(address, address, uint256, bytes calldata)
        external
        pure
        returns (bytes4)
    {
        return 0xffffffff;
    }
}

/// An ERC-1271 wallet with one owner; signs nothing itself.
contract Wallet {
    address private immutable _owner;

    constructor(address owner) {
        _owner = owner;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature)
        external
        view
        returns (bytes4)
    {
        (bytes32 r, bytes32 s) = abi.decode(signature[:64], (bytes32, bytes32));
        bool valid = ecrecover(digest, uint8(signature[64]), r, s) == _owner;
        return valid ? this.isValidSignature.selector : bytes4(0);
    }
}
