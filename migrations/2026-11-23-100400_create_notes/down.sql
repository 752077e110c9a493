UPDATE roles SET permissions = array_remove(array_remove(array_remove(permissions,
    'notes:manage'), 'notes:read'), 'notes:write');
DROP TABLE notes;
