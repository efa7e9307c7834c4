// Names of system errors as Node spells them: "ENOENT" for 2.
#pragma once

namespace dk {

// The symbolic name of an errno value, "EUNKNOWN" when it is a rare one.
const char* ErrnoName(int error);

}  // namespace dk
