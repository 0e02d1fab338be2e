// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {TestStablecoin} from "../../src/TestStablecoin.sol";

/// A coin whose answers can be bent: what `transfer` and `transferFrom` return after having moved
/// the units (or not), as tokens in the wild do.
contract BentCoin {
    enum Answer {
        True,
        False,
        Nothing,
        Two,
        OneByte,
        SilentRevert
    }

    Answer public answer;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function bend(Answer a) external {
        answer = a;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        if (answer == Answer.False) {
            _return(0, 32);
        }
        if (answer == Answer.SilentRevert) {
            assembly {
                revert(0, 0)
            }
        }
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        if (answer == Answer.True) {
            _return(1, 32);
        } else if (answer == Answer.Two) {
            _return(2, 32);
        } else if (answer == Answer.OneByte) {
            _return(1, 1);
        }
    }

    function _return(uint256 word, uint256 size) private pure {
        assembly {
            mstore(0, word)
            return(0, size)
        }
    }
}

/// A stablecoin whose issuer can block accounts, as the large ones can.
contract BlockingCoin is TestStablecoin {
    mapping(address => bool) public blocked;

    function setBlocked(address account, bool value) external {
        blocked[account] = value;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(!blocked[from] && !blocked[to], "Blacklistable: account is blacklisted");
        super._update(from, to, value);
    }
}

/// A coin that makes one call of its owner's choice in the middle of every transfer, once armed.
contract CallingCoin is TestStablecoin {
    address public target;
    bytes public data;
    uint256 public tried;
    bytes public refusal;

    function arm(address target_, bytes calldata data_) external {
        (target, data, tried, refusal) = (target_, data_, 0, "");
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target != address(0)) {
            tried++;
            (bool success, bytes memory answer) = target.call(data);
            refusal = success ? bytes("") : answer;
        }
    }
}
