import { testPowerCuts } from "../helpers/test-power-cuts.ts";

testPowerCuts(40);
