// Looks for better places of what was matched poorly: content that repeats with small changes looks alike everywhere,
// and the diagonal that was followed need not be the right one.
#pragma once

#include <functional>
#include <vector>

#include "align/align_extend.h"
#include "align/align_index.h"
#include "align/align_kernels.h"
#include "align/align_match.h"
#include "zstd/zstd_face.h"

namespace dk::align {

// Sorts stretches of the target and joins those that touch.
void JoinStretches(std::vector<Stretch>* stretches);

// Calls `visit(part, poor)` for the parts of each copy inside and outside of the (sorted) stretches, in order.
void VisitParts(const std::vector<Copy>& copies, const std::vector<Stretch>& poor,
                const std::function<void(const Copy&, bool)>& visit);

// The copies, with what the index knows better inside of the poor stretches. `poll(bytes)` is told of work done and
// ends it when true.
std::vector<Copy> ImproveCopies(zstd::Span source, zstd::Span target, const Kernels& kernels, const BlockIndex& index,
                                const std::vector<Copy>& copies, const std::vector<Stretch>& poor,
                                const std::function<bool(size_t)>& poll);

}  // namespace dk::align
