export * from './api.js';
export {
    FreeholdError, Listing, type CallOptions, type ClientOptions, type Page,
} from './client.js';
