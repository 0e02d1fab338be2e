// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title ERC-20 transfers that must succeed, failing with a text of the caller's choice
/// @dev SafeERC20 reports a token that answers false by a custom error; callers of this protocol
/// know texts. Otherwise the same rules: a token may answer nothing, a token's own revert passes
/// through unchanged, an address without code is no token.
library TokenTransfer {
    function pull(IERC20 token, address from, address to, uint256 value, string memory failure)
        internal
    {
        bytes memory data = abi.encodeCall(IERC20.transferFrom, (from, to, value));
        require(_accepted(token, data), failure);
    }

    function push(IERC20 token, address to, uint256 value, string memory failure) internal {
        require(_accepted(token, abi.encodeCall(IERC20.transfer, (to, value))), failure);
    }

    function _accepted(IERC20 token, bytes memory data) private returns (bool) {
        (bool success, bytes memory answer) = address(token).call(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        if (answer.length == 0) {
            return address(token).code.length > 0;
        }
        return answer.length >= 32 && abi.decode(answer, (uint256)) == 1;
    }
}
