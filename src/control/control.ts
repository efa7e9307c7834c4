/** Door of the room `control`: how what runs is asked, over HTTP, how it is, and told what to do. */
export {
  type ControlAddress,
  parseControl,
  parseHostPort,
  parseMetricsAddress,
  storeSocket,
} from './control-address.js';
export { ControlServer, type ControlSubject } from './control-server.js';
