// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// Moves units by the payer's allowance, all of them but some.
contract TakingCollector {
    uint256 public keeps;

    function keep(uint256 amount) external {
        keeps = amount;
    }

    function collect(address payer, address token, uint256 amount, bytes32, bytes calldata)
        external
    {
        // A token may answer nothing.
        (bool success,) =
            token.call(abi.encodeCall(IERC20.transferFrom, (payer, msg.sender, amount - keeps)));
        require(success, "taking failed");
    }
}

/// Many reads in one call, as the payment packages make them at a well-known address.
contract Multicall3 {
    struct Call {
        address target;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    function tryAggregate(bool requireSuccess, Call[] calldata calls)
        external
        payable
        returns (Result[] memory returnData)
    {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool success, bytes memory data) = calls[i].target.call(calls[i].callData);
            require(success || !requireSuccess, "call failed");
            returnData[i] = Result(success, data);
        }
    }
}
