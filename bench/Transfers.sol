// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// A token of nothing but events, for bench/index.mjs: each call logs many transfers between accounts
/// that were all given enough, so that no balance ever falls below zero.
contract Transfers {
    event Transfer(address indexed from, address indexed to, uint256 value);

    uint256 private constant GIVEN = 10 ** 24;

    function account(uint256 i) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("account", i)))));
    }

    /// Gives to the accounts from..to.
    function give(uint256 from, uint256 to) external {
        for (uint256 i = from; i < to; i++) {
            emit Transfer(address(0), account(i), GIVEN);
        }
    }

    /// Logs `count` transfers among `accounts` accounts; equal seeds log equal ones.
    function move(uint256 seed, uint256 count, uint256 accounts) external {
        for (uint256 i = 0; i < count; i++) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            emit Transfer(account(dice % accounts), account((dice >> 64) % accounts),
                1 + (dice >> 128) % 10 ** 12);
        }
    }
}
