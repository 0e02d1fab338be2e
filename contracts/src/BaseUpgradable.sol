// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessControlUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/AccessControlUpgradeable.sol";
import {ERC1967Utils} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Utils.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

/// @title What every upgradeable contract of the protocol shares
/// @notice Roles, and an upgrade that only holders of UPGRADER_ROLE may make. The admin administers
/// every role. The implementation contract itself can never be initialised.
/// @dev Holds no storage of its own; roles and the initialised version live in OpenZeppelin's
/// ERC-7201 namespaces. The ordinary slots of a deriving contract therefore start at 0, and an
/// upgrade may only append to them.
abstract contract BaseUpgradable is Initializable, AccessControlUpgradeable, UUPSUpgradeable {
    bytes32 internal constant UPGRADER_ROLE = keccak256("UPGRADER_ROLE");

    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice The address that the proxy delegates to; zero when called on an EIP-1167 clone or on
    /// an implementation.
    function getUupsImplementation() external view returns (address) {
        return ERC1967Utils.getImplementation();
    }

    /// @dev Grants the two roles that every contract has. Neither address is checked: a zero
    /// upgrader is a contract that cannot be upgraded until the admin grants the role.
    function __BaseUpgradable_init(address admin, address upgrader) internal onlyInitializing {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(UPGRADER_ROLE, upgrader);
    }

    function _authorizeUpgrade(address) internal view override onlyRole(UPGRADER_ROLE) {}
}
